import { inspect } from "node:util";

const text = `gateway                what anybody may call; gateway.<Tab> shows it
token                  the access token of your login
await account()        your account, as a capability
await login("alice")   logs in for this session only; asks for the password
why(cap)               where a capability is hosted, and how it was obtained
caps()                 all that is held
revoke(cap)            lets go of it, and of what was obtained by it; also by its number: revoke(2)
await cap.logout()     ends the login, and what was obtained by it, for everybody
.exit                  lets go of everything

const me = await gateway.account(token)
await me.orders()
await gateway.account(token).administration().listRoles()   one round trip: calls on what is not there yet travel along`;

/** Shown as it is, and not as a string in quotes. */
export const helpText: object = { text, [inspect.custom]: () => text };
