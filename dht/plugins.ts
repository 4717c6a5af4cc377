/**
 * Plug-ins: commands that this node serves besides its own, each under a name and a version (PLUGIN).
 *
 * A plug-in sees requests and returns replies; it holds no request and sends nothing itself. What it throws, how long it takes and
 * how much it answers stays its own problem: a call that fails is not answered, and a plug-in that fails again and again is left
 * alone for a while. Replies pass the same gate against amplification as all others.
 *
 * Source of the wire: hyperdht 6.34.0, lib/plugin.js and lib/persistent.js.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Clock } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { encode } from "../encoding/codec.ts";
import {
  Command,
  MAX_PLUGIN_CALLS_PER_HOST,
  MAX_PLUGIN_FAILURES,
  MAX_PLUGIN_REPLY_BYTES,
  MAX_PLUGINS,
  PLUGIN_PENALTY_MS,
} from "./constants.ts";
import type { DhtConfig } from "./dht_options.ts";
import { pluginRequest } from "./messages.ts";
import type { IncomingRequest } from "./rpc/incoming_request.ts";
import type { Reply } from "./rpc/outgoing_request.ts";
import type { Query, QueryOptions } from "./rpc/query.ts";
import type { Rpc } from "./rpc/rpc.ts";
import type { RequestOptions } from "./rpc/rpc_types.ts";
import type { DhtStats } from "./stats.ts";
import { tryDecode } from "./try_decode.ts";

/** The answer of a plug-in. */
export interface PluginReply {
  /** What it says, 1024 bytes at the most. */
  readonly value?: Uint8Array | undefined;
  /** 0, the default, or a number from 16 up that says what went wrong. */
  readonly error?: number | undefined;
  /** Whether a token goes with it, for a later request that stores something; by default with all but errors. */
  readonly token?: boolean | undefined;
  /** Whether nodes nearer to the target go with it; they do by default. */
  readonly closerNodes?: boolean | undefined;
}

/** What a plug-in is asked. */
export interface PluginCall {
  /** What to do; the plug-in decides what that means. */
  readonly command: number;
  /** The key that it is about, 32 bytes. */
  readonly target: Uint8Array | undefined;
  /** With what; its own to keep. */
  readonly value: Uint8Array | undefined;
  /** Who asks. */
  readonly from: SocketAddress;
  /** Whether the sender has shown a token of this node, so that `from` is not forged: ask for it before storing anything. */
  readonly hasToken: boolean;
  /** Aborts when the time for an answer is over. */
  readonly signal: AbortSignal;
}

/** Serves a command of its own. */
export interface DhtPlugin {
  /** What requests for it name it, 64 characters at the most. */
  readonly name: string;
  /** Requests for another version are not answered. */
  readonly version: number;
  /** Answers, now or later; without a reply nothing is sent. */
  onRequest(call: PluginCall): PluginReply | undefined | Promise<PluginReply | undefined>;
  /** The node has become persistent: from now on it gets requests. */
  onPersistent?(): void;
  /** The node is closed. */
  close?(): void | Promise<void>;
}

/** A request of a plug-in to its like on other nodes. */
export interface PluginCommand {
  /** What to do. */
  readonly command: number;
  /** The key, 32 bytes. */
  readonly target?: Uint8Array | undefined;
  /** The token that the other node gave. */
  readonly token?: Uint8Array | undefined;
  /** With what. */
  readonly value?: Uint8Array | undefined;
}

/** What the plug-ins need of their node. */
export interface PluginHostOptions {
  /** Time. */
  readonly clock: Clock;
  /** Settings. */
  readonly config: Pick<DhtConfig, "pluginTimeoutMs" | "maxPluginCalls">;
  /** Requests. */
  readonly rpc: Rpc;
  /** Counters. */
  readonly stats: DhtStats;
  /** Is told what a plug-in threw, or did wrong. */
  readonly onFailure: (plugin: string, error: unknown) => void;
}

const MAX_NAME_LENGTH = 64;
/** Reply errors below this belong to the DHT. */
const FIRST_OWN_ERROR = 16;

/** A call under way. */
class Call implements PluginCall {
  readonly command: number;
  readonly target: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
  readonly from: SocketAddress;
  readonly hasToken: boolean;
  #abort: AbortController | undefined;
  #reason: unknown;

  constructor(request: IncomingRequest, command: number, value: Uint8Array | undefined) {
    this.command = command;
    this.target = request.target;
    this.value = value;
    this.from = request.from;
    this.hasToken = request.token !== undefined;
  }

  // Made when it is asked for: most plug-ins answer at once.
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#abort?.abort(reason);
  }
}

/** A plug-in of this node, and how it asks its like on others. Made by `Dht.register`. */
export class RegisteredPlugin {
  /** The plug-in. */
  readonly plugin: DhtPlugin;
  readonly #host: PluginHostOptions;
  readonly #onUnregister: () => void;
  readonly #callsByHost = new Map<number, number>();
  #calls = 0;
  #failures = 0;
  #pausedUntil = -Infinity;

  /** Used by the node. */
  constructor(plugin: DhtPlugin, host: PluginHostOptions, onUnregister: () => void) {
    this.plugin = plugin;
    this.#host = host;
    this.#onUnregister = onUnregister;
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /** Asks the plug-in of the same name and version on another node. As `Rpc.request`. */
  request(
    { command, target, token, value }: PluginCommand,
    to: SocketAddress,
    options: RequestOptions = {},
  ): Promise<Reply> {
    const init = { command: Command.Plugin, target, token, value: this.#encode(command, value) };
    return this.#host.rpc.request(init, to, options);
  }

  /** Asks those on the nodes nearest to `target`. As `Rpc.query`. */
  query<T = Reply>(
    { command, target, value }: PluginCommand & { readonly target: Uint8Array },
    options: QueryOptions<T> = {},
  ): Query<T> {
    return this.#host.rpc.query(
      { command: Command.Plugin, target, value: this.#encode(command, value) },
      options,
    );
  }

  /** Takes it off the node. Calls under way may still answer. */
  unregister(): void {
    this.#onUnregister();
  }

  /** Used by the node: answers a request for this plug-in. */
  handle(request: IncomingRequest, command: number, value: Uint8Array | undefined): void {
    const { clock, config, stats } = this.#host;
    const ofHost = this.#callsByHost.get(request.from.bits) ?? 0;
    const isCrowded = this.#calls >= config.maxPluginCalls || ofHost >= MAX_PLUGIN_CALLS_PER_HOST;
    if (isCrowded || clock.now() < this.#pausedUntil) {
      stats.served.pluginOverloads++;
      return;
    }
    this.#callsByHost.set(request.from.bits, ofHost + 1);
    void this.#serve(request, new Call(request, command, value));
  }

  /** Used by the node: runs one of the other hooks. */
  async run(hook: "onPersistent" | "close"): Promise<void> {
    try {
      await this.plugin[hook]?.();
    } catch (error) {
      this.#host.onFailure(this.plugin.name, error);
    }
  }

  #encode(command: number, value: Uint8Array | undefined): Uint8Array {
    const { name, version } = this.plugin;
    return encode(pluginRequest, { plugin: name, version, command, value });
  }

  async #serve(request: IncomingRequest, call: Call): Promise<void> {
    const { clock, config, stats } = this.#host;
    const isLate = Promise.withResolvers<never>();
    const timer = clock.schedule(clock.now() + config.pluginTimeoutMs, () => isLate.reject(this.#lateness()));
    try {
      const reply = await Promise.race([this.#ask(call), isLate.promise]);
      this.#answer(request, reply);
      this.#failures = 0;
      stats.served.plugins++;
    } catch (error) {
      call.abort(error);
      this.#fail(error);
    } finally {
      timer.cancel();
      this.#leave(request.from.bits);
    }
  }

  /** A call counts until the plug-in lets go of it, even if nobody waits for it any more. */
  async #ask(call: Call): Promise<PluginReply | undefined> {
    const { clock, config } = this.#host;
    const startedAt = clock.now();
    this.#calls++;
    try {
      const answering = this.plugin.onRequest(call);
      // Nothing can stop a plug-in that computes for too long, but it can be left alone from then on.
      if (clock.now() - startedAt > config.pluginTimeoutMs) throw this.#lateness();
      return await answering;
    } finally {
      this.#calls--;
    }
  }

  #answer(request: IncomingRequest, reply: PluginReply | undefined): void {
    if (reply === undefined) return;
    const { value, error = 0, token, closerNodes } = reply;
    const { name } = this.plugin;
    if (value !== undefined && value.length > MAX_PLUGIN_REPLY_BYTES) {
      throw new RangeError(
        `The plug-in ${name} answered ${value.length} bytes: more than ${MAX_PLUGIN_REPLY_BYTES} may not arrive`,
      );
    }
    if (error !== 0 && !(Number.isSafeInteger(error) && error >= FIRST_OWN_ERROR)) {
      throw new RangeError(
        `The plug-in ${name} answered error ${error}: its own begin at ${FIRST_OWN_ERROR}`,
      );
    }
    const options = { token, closerNodes };
    if (error === 0) request.reply(value, options);
    else request.error(error, options);
  }

  #fail(error: unknown): void {
    const { clock, stats, onFailure } = this.#host;
    stats.served.pluginFailures++;
    if (++this.#failures >= MAX_PLUGIN_FAILURES) {
      this.#failures = 0;
      this.#pausedUntil = clock.now() + PLUGIN_PENALTY_MS;
    }
    onFailure(this.plugin.name, error);
  }

  #leave(host: number): void {
    const left = this.#callsByHost.get(host)! - 1;
    if (left === 0) this.#callsByHost.delete(host);
    else this.#callsByHost.set(host, left);
  }

  #lateness(): ConnectError {
    const { pluginTimeoutMs } = this.#host.config;
    return new ConnectError(
      "TIMEOUT",
      `The plug-in ${this.plugin.name} took longer than ${pluginTimeoutMs} ms`,
    );
  }
}

/** The plug-ins of a node. */
export class PluginHost {
  readonly #options: PluginHostOptions;
  readonly #plugins = new Map<string, RegisteredPlugin>();

  /** None yet. */
  constructor(options: PluginHostOptions) {
    this.#options = options;
  }

  /**
   * Adds a plug-in.
   *
   * @throws {RangeError} if its name is taken or too long, its version no integer, or there are 64 already.
   */
  register(plugin: DhtPlugin): RegisteredPlugin {
    const { name, version } = plugin;
    if (name.length === 0 || name.length > MAX_NAME_LENGTH) {
      throw new RangeError(
        `The name of a plug-in has 1 to ${MAX_NAME_LENGTH} characters, not ${name.length}`,
      );
    }
    if (!Number.isSafeInteger(version) || version < 0) {
      throw new RangeError(`The version of a plug-in is an integer, 0 or more, not ${version}`);
    }
    if (this.#plugins.has(name)) {
      throw new RangeError(`There is a plug-in ${name} already: unregister it, or take another name`);
    }
    if (this.#plugins.size >= MAX_PLUGINS) {
      throw new RangeError(`There are ${MAX_PLUGINS} plug-ins already: unregister one`);
    }
    const registered: RegisteredPlugin = new RegisteredPlugin(plugin, this.#options, () => {
      if (this.#plugins.get(name) === registered) this.#plugins.delete(name);
    });
    this.#plugins.set(name, registered);
    if (!this.#options.rpc.ephemeral) void registered.run("onPersistent");
    return registered;
  }

  /** Takes a request; silent if there is no such plug-in in that version. */
  handle(request: IncomingRequest): void {
    const message = tryDecode(pluginRequest, request.value);
    const registered = message === undefined ? undefined : this.#plugins.get(message.plugin);
    if (message === undefined || registered === undefined || registered.plugin.version !== message.version) {
      this.#options.stats.served.ignored++;
      return;
    }
    registered.handle(request, message.command, message.value);
  }

  /** Tells all plug-ins that the node is persistent. */
  notifyPersistent(): void {
    for (const registered of this.#plugins.values()) void registered.run("onPersistent");
  }

  /** Tells all plug-ins that the node is closed. */
  async close(): Promise<void> {
    const all = [...this.#plugins.values()];
    this.#plugins.clear();
    await Promise.all(all.map((registered) => registered.run("close")));
  }
}
