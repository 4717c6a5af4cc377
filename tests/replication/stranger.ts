/** A peer that speaks the protocol and says whatever a test wants. */
import { capability } from "../../core/replication/capability.ts";
import {
  MESSAGE_KINDS,
  type MessageKind,
  type Messages,
  PeerChannel,
  type PeerHandlers,
} from "../../core/replication/peer_channel.ts";
import type { Sync } from "../../core/replication/messages.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { bytes, keyPair } from "../stream/rig.ts";
import { type Node, sessionOf, type World } from "./rig.ts";

/** What it says of its log unless the test says otherwise. */
const SYNC: Sync = {
  ...{ fork: 0, length: 0, remoteLength: 0 },
  ...{ canUpgrade: true, isUploading: true, isDownloading: true, hasManifest: true, allowPush: false },
};

/** Something that it was told. */
export type Heard = {
  readonly [Kind in MessageKind]: { readonly kind: Kind; readonly message: Messages[Kind] };
}[
  MessageKind
];

/** The peer. */
export class Stranger {
  readonly mux: Mux;
  readonly channel: PeerChannel;
  /** All that it was told. */
  readonly heard: Heard[] = [];
  /** Called with all that it is told. */
  onHeard: ((heard: Heard) => void) | undefined;
  readonly theirMux: Mux;

  constructor(world: World, node: Node, maxBufferedBytes = 65536, label = "stranger") {
    const [near, far] = duplexPair({ framing: "message", maxBufferedBytes });
    [this.mux, this.theirMux] = [new Mux(near), new Mux(far)];
    const hash = bytes(64, label);
    const { key, discoveryKey } = node.log;
    const own = { canSeek: true, capability: capability(world.runtime.crypto, true, key, hash) };
    node.replicator.attach(this.theirMux, sessionOf(false, hash, keyPair(200).publicKey));
    this.channel = PeerChannel.open(this.mux, discoveryKey, own, () => this.#handlers())!;
  }

  /** Says something. */
  say<Kind extends MessageKind>(kind: Kind, message: Messages[Kind]): void {
    this.channel.send(kind, message);
  }

  /** Says how its log stands. */
  sync(sync: Partial<Sync>): void {
    this.say("sync", { ...SYNC, ...sync });
  }

  /** All messages of a kind that it was told. */
  all<Kind extends MessageKind>(kind: Kind): Messages[Kind][] {
    return this.heard.filter((one) => one.kind === kind).map(({ message }) => message as Messages[Kind]);
  }

  #handlers(): PeerHandlers {
    const entries = MESSAGE_KINDS.map((kind) => [kind, (message: never) => {
      const heard = { kind, message: structuredClone(message) } as Heard;
      this.heard.push(heard);
      this.onHeard?.(heard);
    }]);
    return { on: Object.fromEntries(entries), onOpen() {}, onClose() {}, onDrain() {} };
  }
}
