import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { announce, socketPath } from "../process.ts";
import { isAllowed, login } from "../token.ts";
import { credentials, serve, t } from "./wire.ts";

const router = t.router({
  login: t.procedure.input(credentials).mutation(({ input }) => {
    try {
      return login(input.username, input.password);
    } catch {
      throw new TRPCError({ code: "UNAUTHORIZED", message: "Invalid credentials" });
    }
  }),
  isAllowed: t.procedure
    .input(z.object({ userId: z.string(), permission: z.string() }))
    .query(({ input }) => isAllowed(input.userId, input.permission)),
});

export type UsersRouter = typeof router;

announce(await serve(router, socketPath("users")));
