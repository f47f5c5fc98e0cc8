// The API Gateway as a process: the only reader of its environment.
import { systemClock as clock, expose, type FlotillaError, serve } from "@flotilla/kit";
import { GatewayContract } from "../contracts/gateway.ts";
import type { OrderService } from "../contracts/orders.ts";
import type { UserService } from "../contracts/users.ts";
import { demoCommand, urlOf } from "../topology.ts";
import { runService } from "../service/run-service.ts";
import { makeBulkheads } from "./bulkheads.ts";
import { makeGate } from "./gate.ts";
import { makeIntroductions } from "./introductions.ts";
import { GatewayTarget } from "./service.ts";
import { statusOf, waitsFor } from "./status.ts";

await runService("gateway", process.env, async (own) => {
  const { placement, settings, home, log, metrics, onAnswered, placeOf, connectTo } = own;
  const { host, ports } = placement;
  const users = connectTo<UserService>("users");
  const orders = connectTo<OrderService>("orders");
  const introductions = makeIntroductions({ users, to: "orders", clock });
  const bulkheads = makeBulkheads(clock);
  const status = () => statusOf({ own, busyness: server.busyness(), bulkheads, destinations: { users, orders } });
  const gateway = new GatewayTarget({ users, orders, introductions, clock, status });
  const onRefused = ({ code, reason }: FlotillaError) => metrics.refused(code, reason);
  const gate = makeGate({ gateway, users, clock, rates: settings.rates, bulkheads, onRefused });
  const server = await serve({
    name: home.name,
    instance: home.instance,
    host,
    port: ports.gateway,
    origins: settings.origins,
    trustedProxies: settings.trustedProxies,
    main: (peer) =>
      expose(GatewayContract, gate.open(peer), {
        peer,
        onFault: (err) => log.error({ err }, "a fault in the service"),
      }),
    isReady: () => users.isOpen && orders.isOpen,
    waitsFor: () => waitsFor({ users, orders }),
    onHiddenError: (err) => log.error({ err, requestId: err.requestId }, "a call failed"),
    onRefused,
    onAnswered,
  });
  const at = { ...placement, ports: { ...ports, gateway: ports.gateway || Number(new URL(server.url).port) } };
  const demo = demoCommand(urlOf("gateway", at), placement);
  users.opened().catch(() => {});
  orders.opened().catch(() => {});
  return {
    url: server.url,
    banner: [
      `🌐 API Gateway running on ${server.url}`,
      `   Endpoint: ${server.url}/rpc/batch`,
      "",
      "Backend services:",
      `   User Service:  ${placeOf("users")}`,
      `   Order Service: ${placeOf("orders")}`,
      "",
      ...(demo === undefined ? [] : [`Run client with: ${demo}`]),
      "Press Ctrl+C to stop",
    ],
    stats: () => ({
      server: server.stats(),
      users: users.stats(),
      orders: orders.stats(),
      introductions: introductions.size,
    }),
    busyness: server.busyness,
    checks: () => ({ users: users.isOpen, orders: orders.isOpen }),
    async stop() {
      await server.drain();
      introductions[Symbol.dispose]();
      users.close();
      orders.close();
    },
  };
});
