import "../capnweb/gateway.ts";
