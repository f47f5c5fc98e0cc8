// gRPC by @grpc/grpc-js and @grpc/proto-loader, every client over one channel that it keeps.
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { type Item, idempotencyKeyPattern } from "../../work.ts";

export interface OrderRequest {
  token?: string;
  userId?: string;
  items: readonly Item[];
  idempotencyKey: string;
}

export interface OrderResponse {
  orderId: string;
  total: number;
  status: string;
  items: Item[];
}

/** The requests and responses of every method, as `shop.proto` has them. */
export interface Methods {
  Login: [{ username: string; password: string }, { token: string }];
  IsAllowed: [{ userId: string; permission: string }, { allowed: boolean }];
  CreateOrder: [OrderRequest, OrderResponse];
}

/** What costs and is not used: the statistics of channelz, retries, and asking the resolver for a service config. */
const options: grpc.ChannelOptions = {
  "grpc.enable_channelz": 0,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
};

type ServiceName = "Users" | "Orders" | "Gateway";

const loaded = grpc.loadPackageDefinition(
  loadSync(fileURLToPath(new URL("./shop.proto", import.meta.url)), { defaults: true }),
);
const services = loaded.shop as unknown as Record<ServiceName, grpc.ServiceClientConstructor>;

type Handlers = { [M in keyof Methods]?: (request: Methods[M][0]) => Promise<Methods[M][1]> };

export class StatusError extends Error {
  readonly code: grpc.status;
  constructor(code: grpc.status, message: string) {
    super(message);
    this.code = code;
  }
}

/** Announces `HOST:PORT` or `unix:PATH`. */
export async function serve(name: ServiceName, handlers: Handlers, path?: string): Promise<string> {
  const server = new grpc.Server(options);
  const implementation: grpc.UntypedServiceImplementation = {};
  for (const [method, handle] of Object.entries(handlers)) {
    implementation[method] = ({ request }: { request: unknown }, answer: grpc.sendUnaryData<unknown>) => {
      handle(request as never).then((response: unknown) => answer(null, response), answer);
    };
  }
  server.addService(services[name].service, implementation);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(path ? `unix:${path}` : "127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
    error ? reject(error) : resolve(port),
  );
  const port = await promise;
  return path ? `unix:${path}` : `127.0.0.1:${port}`;
}

export interface Channel {
  call<M extends keyof Methods>(method: M, request: Methods[M][0]): Promise<Methods[M][1]>;
  close(): void;
}

export function dial(name: ServiceName, address: string): Channel {
  const client = new services[name](address, grpc.credentials.createInsecure(), options);
  const stub = client as unknown as Record<keyof Methods, (request: unknown, answer: unknown) => void>;
  return {
    call: (method, request) =>
      new Promise((resolve, reject) => {
        stub[method](request, (error: Error | null, response: never) => (error ? reject(error) : resolve(response)));
      }),
    close: () => client.close(),
  };
}

const isKey = new RegExp(idempotencyKeyPattern);

/** What a proto cannot say of an order. */
export function checkOrder({ items, idempotencyKey }: OrderRequest): void {
  if (!isKey.test(idempotencyKey)) invalid("idempotency_key: 1 to 128 visible characters");
  if (items.length < 1 || items.length > 100) invalid("items: 1 to 100 of them");
  for (const { name, quantity, price } of items) {
    if (name.length < 1 || name.length > 100) invalid("name: 1 to 100 characters");
    if (quantity < 1 || quantity > 10_000) invalid("quantity: 1 to 10,000");
    if (!(price >= 0 && price <= 1_000_000)) invalid("price: 0 to 1,000,000");
  }
}

function invalid(message: string): never {
  throw new StatusError(grpc.status.INVALID_ARGUMENT, message);
}
