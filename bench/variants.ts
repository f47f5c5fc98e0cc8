/** One column of the comparison: the processes of a folder, and how they are set. */
export interface Variant {
  readonly name: string;
  /** Of its `users.ts`, `orders.ts`, `gateway.ts` and `client.ts`, below bench/. */
  readonly folder: string;
  /** Beside what every process is given. */
  readonly env?: Readonly<Record<string, string>>;
  /** Not run unless it is asked for. */
  readonly isExtra?: boolean;
  /** What is ours, and what bounds the race: everything else is what one would use instead. */
  readonly kind: "ours" | "peer" | "stock" | "floor";
}

export const variants: readonly Variant[] = [
  { name: "flotilla", folder: "ours", kind: "ours" },
  { name: "flotilla-unix", folder: "ours", kind: "ours", env: { BENCH_SOCKETS: "unix" }, isExtra: true },
  {
    name: "flotilla-unix-asking",
    folder: "ours",
    kind: "ours",
    env: { BENCH_SOCKETS: "unix", BENCH_LEASES: "off" },
    isExtra: true,
  },
  { name: "flotilla-stock-client", folder: "ours", kind: "ours", env: { BENCH_CLIENT: "stock" }, isExtra: true },
  { name: "flotilla-batch", folder: "ours", kind: "ours", env: { BENCH_CLIENT: "batch" }, isExtra: true },
  { name: "fastify", folder: "peers/fastify", kind: "peer" },
  { name: "moleculer", folder: "peers/moleculer", kind: "peer" },
  { name: "trpc", folder: "peers/trpc", kind: "peer" },
  { name: "grpc", folder: "peers/grpc", kind: "peer" },
  { name: "capnweb", folder: "peers/capnweb", kind: "stock" },
  { name: "capnweb-batch", folder: "peers/capnweb", kind: "stock", env: { BENCH_CLIENT: "batch" }, isExtra: true },
  { name: "floor", folder: "peers/floor", kind: "floor" },
  { name: "floor-unix", folder: "peers/floor", kind: "floor", env: { BENCH_SOCKETS: "unix" }, isExtra: true },
];
