import { accept, arg, connect, type Connection, contract, FlotillaError, type Introducible } from "@flotilla/kit";
import {
  type Introduction,
  introducible,
  introductionTo,
  makeHome,
  openIdentity,
  type RpcTarget,
  serve,
} from "@flotilla/kit";
import { Type } from "typebox";

export interface Notebook extends RpcTarget {
  read(page: number): string;
}
/** What a friend may ask for. */
export interface Friend extends RpcTarget {
  notebook(): Notebook & Introducible;
  lookInto(notebook: Introduction<Notebook>): string;
}

const NotebookContract = contract<Notebook>("Notebook", { read: { params: [arg("page", Type.Integer())] } });
const FriendContract = contract<Friend>("Friend", {
  notebook: { params: [], returns: introducible(NotebookContract) },
  lookInto: { params: [introductionTo<Notebook>("notebook")] },
});
const StrangerContract = contract<RpcTarget>("Stranger", {});

export async function startPeer(name: string, { keys, friends }: { keys: string; friends: readonly string[] }) {
  const identity = openIdentity(keys, name);
  const home = makeHome({ name });
  const links = new Map<string, Connection<Friend>>();

  const self = {
    notebook: () => ({ read: (page: number) => `page ${page} of ${name}'s notebook` }),
    async lookInto(introduction: Introduction<Notebook>) {
      const link = links.get(introduction.home);
      if (!link) throw new FlotillaError("failed_precondition", `${name} knows no ${introduction.home}`);
      using notebook = accept(introduction, { from: link });
      return await notebook.read(1);
    },
  };

  const server = await serve({
    name,
    instance: home.instance,
    identity,
    port: 0,
    main(peer) {
      if (peer.kind !== "service") return undefined;
      if (friends.includes(peer.name)) return home.main(FriendContract, self, peer);
      return home.main(StrangerContract, {}, peer);
    },
  });

  function linkTo(other: { name: string; url: string }): Connection<Friend> {
    const link = connect<Friend>({ ...other, as: { identity, instance: home.instance } });
    links.set(other.name, link);
    return link;
  }

  async function stop(): Promise<void> {
    for (const link of links.values()) link.close();
    await server.drain();
  }

  return { name, url: server.url, linkTo, stop, held: () => ({ ...server.stats(), ...home.counts() }) };
}
