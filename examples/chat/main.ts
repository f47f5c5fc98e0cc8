import { serve } from "@flotilla/kit";
import { makeRoom } from "./room.ts";
import { visit } from "./visitor.ts";

export async function chat(print: (line: string) => void): Promise<void> {
  const room = makeRoom({ linesKept: 3 });
  const open = (port: number) => serve({ name: "room", port, main: room.doorFor });
  const front = await open(0);
  const back = await open(0);

  const caughtUp = Promise.withResolvers<void>();
  const ann = visit(front.url, "ann", () => {});
  const bob = visit(back.url, "bob", (line) => {
    print(`bob hears ${line}`);
    if (line === "ann: four") caughtUp.resolve();
  });
  const bobSays = (text: string) =>
    bob.say(text).catch(({ code, reason }) => print(`bob cannot speak: ${code}, ${reason}`));

  await ann.say("Hello");
  await bobSays("Hello, Ann. Lamps, lamps!");
  room.mute("bob");
  await ann.say("Peace at last");
  await bobSays("Lamps!");

  await back.drain();
  print("the back door closes");
  for (const word of ["one", "two", "three", "four"]) await ann.say(word);
  const reopened = await open(Number(new URL(back.url).port));
  print("the back door opens");
  await caughtUp.promise;
  await bobSays("Lamps!");

  await Promise.all([ann.leave(), bob.leave()]);
  await Promise.all([front.drain(), reopened.drain()]);
  print(`seats taken: ${room.taken()}`);
}

if (import.meta.main) await chat(console.log);
