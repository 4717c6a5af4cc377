/**
 * The blind relay: carries the packets of two peers that cannot reach each other, and cannot read them. As a server that anyone
 * can run ({@linkcode RelayServer}), as a client ({@linkcode RelayClient}), and as a way that a connection takes until it finds a
 * direct one ({@linkcode RelayedRoute}).
 */
export * from "./relay_client.ts";
export * from "./relay_link.ts";
export * from "./relay_messages.ts";
export * from "./relay_quotas.ts";
export * from "./relay_server.ts";
export * from "./relay_session.ts";
export * from "./relay_upgrade.ts";
export * from "./relayed_route.ts";
