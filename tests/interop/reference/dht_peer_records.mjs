// What dht_peer.mjs does with records, announcements, plug-ins and bare requests.

const HOST = "127.0.0.1";
const relay = (text) => ({
  host: text.split(":")[0],
  port: Number(text.split(":")[1]),
});
const nameOf = ({ host, port }) => `${host}:${port}`;

async function collect(query, pick) {
  const found = [];
  for await (const item of query) found.push(...pick(item));
  return found;
}

/** The operations, on the nodes of the program. */
export default function createHandlers(
  { nodes, keys, hex, Plugin, signers, testnet },
) {
  const peerOf = ({ publicKey, relayAddresses }) => ({
    publicKey: hex(publicKey),
    relays: relayAddresses.map(nameOf),
  });

  /** A plug-in that says what it was asked. */
  function echo() {
    return Object.assign(new Plugin("echo", 1), {
      onrequest: ({ command, value }, request) => request.reply(Buffer.from(`${command} ${value}`)),
      onpersistent() {},
      destroy() {},
    });
  }

  /** The identity of `seed`: with `isRemote` without its secret key, which only signers have. */
  function identity(seed, isRemote) {
    const signed = [];
    if (!isRemote) return { keyPair: keys(seed), options: {}, signed };
    return {
      keyPair: { publicKey: keys(seed).publicKey },
      options: signers(seed, signed),
      signed,
    };
  }

  return {
    async immutablePut({ node, value }) {
      const { hash, closestNodes } = await nodes.get(node).immutablePut(
        Buffer.from(value),
      );
      return { hash: hex(hash), nodes: closestNodes.length };
    },

    async immutableGet({ node, hash }) {
      const found = await nodes.get(node).immutableGet(
        Buffer.from(hash, "hex"),
      );
      return { value: found?.value.toString() };
    },

    async mutablePut({ node, seed, value, seq, isRemote }) {
      const { keyPair, options, signed } = identity(seed, isRemote);
      const { publicKey } = await nodes.get(node).mutablePut(
        keyPair,
        Buffer.from(value),
        {
          seq,
          ...options,
        },
      );
      return { publicKey: hex(publicKey), signed };
    },

    async mutableGet({ node, publicKey, ...options }) {
      const found = await nodes.get(node).mutableGet(
        Buffer.from(publicKey, "hex"),
        options,
      );
      return { value: found?.value.toString(), seq: found?.seq };
    },

    async announce({ node, seed, topic, relays, isRemote, ...options }) {
      const { keyPair, options: signing, signed } = identity(seed, isRemote);
      await nodes.get(node).announce(
        Buffer.from(topic, "hex"),
        keyPair,
        relays.map(relay),
        {
          ...options,
          ...signing,
        },
      ).finished();
      return { signed };
    },

    async unannounce({ node, seed, topic, isRemote }) {
      const { keyPair, options, signed } = identity(seed, isRemote);
      await nodes.get(node).unannounce(
        Buffer.from(topic, "hex"),
        keyPair,
        options,
      );
      return { signed };
    },

    async lookup({ node, topic }) {
      const query = nodes.get(node).lookup(Buffer.from(topic, "hex"));
      let bump = 0;
      const peers = await collect(query, (found) => {
        bump = Math.max(bump, found.bump);
        return found.peers.map(peerOf);
      });
      return { peers, bump };
    },

    async findPeer({ node, publicKey }) {
      const query = nodes.get(node).findPeer(Buffer.from(publicKey, "hex"));
      return {
        peers: await collect(
          query,
          ({ peer, from }) => [{ ...peerOf(peer), from: nameOf(from) }],
        ),
      };
    },

    /** The nodes of the testnet serve the plug-in. */
    register() {
      for (const node of testnet().nodes) node.register("echo", echo());
      return {};
    },

    async pluginQuery({ node, value, target }) {
      const plugin = echo();
      nodes.get(node).register("echo", plugin);
      const query = plugin.query({
        command: 3,
        target: Buffer.from(target, "hex"),
        value: Buffer.from(value),
      });
      return {
        values: await collect(
          query,
          (reply) => (reply.value ? [reply.value.toString()] : []),
        ),
      };
    },

    async pluginRequest({ node, value, port }) {
      const plugin = echo();
      nodes.get(node).register("echo", plugin);
      const { value: answer, error } = await plugin.request(
        { command: 9, value: Buffer.from(value) },
        { host: HOST, port },
      );
      return { value: answer?.toString(), error };
    },

    async ping({ node, port, delayMs }) {
      const to = { host: HOST, port };
      const dht = nodes.get(node);
      const reply = await (delayMs === undefined ? dht.ping(to) : dht.delayedPing(to, delayMs));
      return { from: nameOf(reply.from) };
    },

    async findNode({ node, target }) {
      const query = nodes.get(node).findNode(Buffer.from(target, "hex"));
      await query.finished();
      return { relays: query.closestNodes.map(nameOf) };
    },
  };
}
