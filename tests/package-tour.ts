// Run by package.slow.test.ts against the packed kit, on each Node that it is for: what leans on Node itself, beside what the
// README's program does.
import {
  attenuate,
  contract,
  currentContext,
  expose,
  hasCode,
  makeMetrics,
  makeRevoker,
  onShutdownSignal,
  type RpcTarget,
  reasonOf,
  withContext,
} from "@flotilla/kit";
import { type Desk, makeDesk, makeRig, makeVirtualClock } from "@flotilla/kit/testing";

type Echo = RpcTarget & { trace(): string; far(): string };
const EchoContract = contract<Echo>("Echo", { trace: { params: [] }, far: { params: [] } });
const trace = () => currentContext()?.traceId ?? "none";
const codeOf = (error: unknown) => (hasCode(error, "deadline_exceeded") ? "deadline_exceeded" : String(error));

{
  await using rig = makeRig();
  // The context follows a call across two services, and through what is awaited in between.
  const far = await rig.serve({ main: (peer) => expose(EchoContract, { trace, far: trace }, { peer }) });
  const toFar = rig.connect<Echo>({ url: far.url });
  const echo = { trace, far: () => toFar.opened().then(() => toFar.main.trace()) };
  const near = await rig.serve({ main: (peer) => expose(EchoContract, echo, { peer }) });
  const client = rig.connect<Echo>({ url: near.url });
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const traces = await withContext({ traceId }, () => Promise.all([client.main.trace(), client.main.far()]));
  console.log("context", traces.join() === `${traceId},${traceId}`, trace());

  const desk = makeDesk();
  const toDesk = rig.connect<Desk>({ url: (await rig.serve({ main: desk.mainFor })).url });
  const late = withContext({ timeoutMs: 20 }, () => toDesk.main.hang());
  console.log("deadline", await late.then(String, codeOf));
  desk.answerAll();
}

const revoker = makeRevoker();
const door = attenuate(EchoContract, { trace, far: trace }, { revoker });
revoker.revoke();
console.log("revoked", await new Promise((resolve) => resolve(door.trace())).catch(reasonOf));
console.log("metrics", (await makeMetrics("tour").text()).includes("flotilla_refused_total"));
const clock = makeVirtualClock();
const minute = new Promise<number>((resolve) => clock.after(60_000, () => resolve(clock.monotonicMs())));
console.log("clock", await clock.run(minute));

// Ends the process, which would stay, with 0.
onShutdownSignal(async (signal) => console.log("stopped by", signal));
setInterval(() => {}, 1_000);
process.kill(process.pid, "SIGTERM");
