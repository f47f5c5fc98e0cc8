import { StartError } from "./start-error.ts";

/** One server of several that hold the same database, as `pg` wants it named. */
export interface PostgresServer {
  readonly connectionString: string;
  /** For the operator: without user and password. */
  readonly name: string;
}

const shape = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)\/([^/?#]+)(?:\?([^#]*))?$/;
const schemaName = /^[a-z_][a-z0-9_]{0,62}$/;
const maskedPassword = "***";

/**
 * Where a database of PostgreSQL is: `postgres://user:password@host:port/database`, or several `host:port` with commas
 * between them, of which the one that takes writes is used. `?schema=NAME` puts the tables there; what else is asked for
 * is handed to `pg`, such as `?sslmode=verify-full` or `?host=/run/postgresql` for a Unix socket.
 *
 * SECURITY: it holds a password, which neither printing nor inspecting it shows.
 */
export class PostgresPlace {
  readonly #servers: readonly PostgresServer[];
  readonly #masked: string;
  readonly schema: string | undefined;

  /** @throws StartError, without a word of `text`, which may hold a password. */
  constructor(text: string) {
    const [, login, hosts, database, query] = shape.exec(text) ?? [];
    if (hosts === undefined || database === undefined) throw malformed();
    const options = new URLSearchParams(query);
    const schema = options.get("schema") ?? undefined;
    if (schema !== undefined && !schemaName.test(schema)) throw malformed("schema is a name of a-z, 0-9 and _");
    options.delete("schema");
    const rest = `/${database}${options.size > 0 ? `?${options}` : ""}`;
    const socket = options.get("host");
    this.#servers = hosts.split(",").map((host) => {
      const connectionString = `postgres://${login === undefined ? "" : `${login}@`}${host}${rest}`;
      if (!isParsable(connectionString)) throw malformed();
      return { connectionString, name: `${socket ?? host}/${database}` };
    });
    const [user, password] = login?.split(":") ?? [];
    const who = user === undefined ? "" : `${user}${password === undefined ? "" : `:${maskedPassword}`}@`;
    this.#masked = `postgres://${who}${hosts}/${database}${query === undefined ? "" : `?${maskQuery(query)}`}`;
    this.schema = schema;
  }

  get servers(): readonly PostgresServer[] {
    return this.#servers;
  }

  /** The URL without its password. */
  toJSON(): string {
    return this.#masked;
  }

  toString(): string {
    return this.#masked;
  }
}

/** A host of none is a Unix socket, which `pg` reads of the query. */
function isParsable(connectionString: string): boolean {
  return URL.canParse(connectionString) || URL.canParse(connectionString.replace(/\/\/([^@/]*@)?\//, "//$1localhost/"));
}

function maskQuery(query: string): string {
  return query.replace(/(^|&)(password|sslpassword)=[^&]*/gi, `$1$2=${maskedPassword}`);
}

function malformed(why = "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"): StartError {
  return new StartError("bad_settings", `${why}; what is special in a user or password is written as %40 for @`);
}
