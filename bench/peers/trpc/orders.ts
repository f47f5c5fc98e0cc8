import { createTRPCClient, wsLink } from "@trpc/client";
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { createPermission, totalMinorOf } from "../../work.ts";
import { announce, socketPath, storeOfThisRun, usersAddress } from "../process.ts";
import type { UsersRouter } from "./users.ts";
import { idempotencyKeyOf, itemsOf, serve, socketTo, t } from "./wire.ts";

const store = storeOfThisRun();
const users = createTRPCClient<UsersRouter>({ links: [wsLink({ client: socketTo(usersAddress) })] });

const router = t.router({
  createOrder: t.procedure
    // Only the gateway reaches this service; it names the user whose token it verified.
    .input(z.object({ userId: z.string(), items: itemsOf, idempotencyKey: idempotencyKeyOf }))
    .mutation(async ({ input: { userId, items, idempotencyKey } }) => {
      if (!(await users.isAllowed.query({ userId, permission: createPermission }))) {
        throw new TRPCError({ code: "FORBIDDEN", message: "Permission denied" });
      }
      const totalMinor = totalMinorOf(items);
      const { orderId } = await store.place({ userId, items, totalMinor, idempotencyKey });
      return { orderId, total: totalMinor / 100, status: "pending", items };
    }),
});

export type OrdersRouter = typeof router;

announce(await serve(router, socketPath("orders")));
