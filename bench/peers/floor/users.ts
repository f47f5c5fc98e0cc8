import { randomUUID } from "node:crypto";
import { users, type WorkUser } from "../../work.ts";
import { announce, socketPath } from "../process.ts";
import { serve } from "./wire.ts";

const sessions = new Map<string, WorkUser>();

const methods = {
  login(username: string, password: string): string {
    const user = users.find((one) => one.username === username && one.password === password);
    if (!user) throw new Error("Invalid credentials");
    const token = randomUUID();
    sessions.set(token, user);
    return token;
  },
  whoIs(token: string): string {
    const user = sessions.get(token);
    if (!user) throw new Error("Invalid or expired token");
    return user.id;
  },
  isAllowed: (userId: string, permission: string) =>
    users.find(({ id }) => id === userId)?.permissions.includes(permission) ?? false,
};

announce(await serve(methods, socketPath("users")));
