import { type Context, Errors } from "moleculer";
import { announce } from "../process.ts";
import { isAllowed, login } from "../token.ts";
import { addressOfNode, makeBroker } from "./broker.ts";

const broker = makeBroker("users", "");

broker.createService({
  name: "users",
  actions: {
    login: {
      params: { $$strict: true, username: "string", password: "string" },
      handler({ params }: Context<{ username: string; password: string }>) {
        try {
          return { token: login(params.username, params.password) };
        } catch {
          throw new Errors.MoleculerClientError("Invalid credentials", 401);
        }
      },
    },
    isAllowed: {
      params: { $$strict: true, userId: "string", permission: "string" },
      handler: ({ params }: Context<{ userId: string; permission: string }>) =>
        isAllowed(params.userId, params.permission),
    },
  },
});

await broker.start();
announce(addressOfNode(broker));
