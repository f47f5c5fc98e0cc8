import "../capnweb/orders.ts";
