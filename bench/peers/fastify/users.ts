import { addressOf, announce, socketPath } from "../process.ts";
import { isAllowed, login } from "../token.ts";
import { loginSchema, makeApp, permissionSchema } from "./app.ts";

const app = makeApp();

app.post<{ Body: { username: string; password: string } }>(
  "/login",
  { schema: loginSchema },
  async (request, reply) => {
    try {
      return { token: login(request.body.username, request.body.password) };
    } catch {
      return reply.code(401).send({ error: "Invalid credentials" });
    }
  },
);

app.get<{ Params: { id: string; permission: string } }>(
  "/users/:id/permissions/:permission",
  { schema: permissionSchema },
  async ({ params }) => ({ allowed: isAllowed(params.id, params.permission) }),
);

const path = socketPath("users");
await app.listen(path ? { path } : { host: "127.0.0.1", port: 0 });
announce(addressOf(app.server));
