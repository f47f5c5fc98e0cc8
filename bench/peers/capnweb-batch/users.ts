import "../capnweb/users.ts";
