/** A reference mux on a reference secret stream: commands to open, send on and close channels, events for what happens. */
import c from "compact-encoding";
import Protomux from "protomux";

export function serveMux(stream, tell) {
  const mux = Protomux.from(stream);
  const channels = new Map();

  function create({ name, protocol, aliases, id, unique, greeting }) {
    const channel = mux.createChannel({
      protocol,
      aliases,
      id: id ? Buffer.from(id, "hex") : null,
      unique,
      handshake: greeting === undefined ? null : c.string,
      onopen: (handshake) => tell("channelOpen", { name, greeting: handshake }),
      onclose: (isRemote) => tell("channelClose", { name, isRemote }),
      ondestroy: () => tell("channelDestroy", { name }),
    });
    if (channel === null) return tell("refused", { name });
    const entry = { channel, messages: [] };
    channels.set(name, entry);
    const declare = (type, encoding) =>
      entry.messages.push(channel.addMessage({
        encoding,
        onmessage: (value) =>
          tell("channelMessage", { name, type, value: type === 1 ? value.toString("hex") : value }),
      }));
    declare(0, c.string);
    declare(1, c.raw);
    entry.messages.push(channel.addMessage(null));
    declare(3, c.uint);
    channel.open(greeting);
  }

  return {
    channel: create,
    pair: ({ protocol, id, delayMs, ...rest }) =>
      mux.pair({ protocol, id: id ? Buffer.from(id, "hex") : null }, async (found) => {
        tell("pairing", { protocol, id: found ? found.toString("hex") : null });
        if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
        if (rest.name) create({ protocol, id: found?.toString("hex"), ...rest });
      }),
    unpair: ({ protocol }) => mux.unpair({ protocol }),
    say: ({ name, type, value }) => {
      const { messages } = channels.get(name);
      messages[type].send(type === 1 ? Buffer.from(value, "hex") : value);
    },
    cork: () => mux.cork(),
    uncork: () => mux.uncork(),
    closeChannel: ({ name }) => channels.get(name).channel.close(),
    raw: ({ hex }) => stream.write(Buffer.from(hex, "hex")),
    ids: () => tell("ids", { local: mux._local.length, free: mux._free.length, remote: mux._remote.length }),
  };
}
