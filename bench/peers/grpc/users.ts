import { status } from "@grpc/grpc-js";
import { announce, socketPath } from "../process.ts";
import { isAllowed, login } from "../token.ts";
import { StatusError, serve } from "./wire.ts";

announce(
  await serve(
    "Users",
    {
      async Login({ username, password }) {
        try {
          return { token: login(username, password) };
        } catch {
          throw new StatusError(status.UNAUTHENTICATED, "Invalid credentials");
        }
      },
      IsAllowed: async ({ userId, permission }) => ({ allowed: isAllowed(userId, permission) }),
    },
    socketPath("users"),
  ),
);
