/** What separates the uses of keys and hashes of logs. */
import { fromHex } from "../../encoding/text.ts";

/** The uses, by the order of their ids. */
export type LogNamespace =
  | "tree"
  | "replicateInitiator"
  | "replicateResponder"
  | "manifest"
  | "defaultNamespace"
  | "defaultEncryption";

/**
 * The namespaces 0 to 5 of "hypercore" (hypercore 11.37.1: lib/caps.js). Written out because they never change,
 * and so that nothing has to be computed before a log is opened.
 */
export const LOG_NAMESPACES: Readonly<Record<LogNamespace, Uint8Array>> = {
  tree: fromHex("9fac70b50ca14efc4e91c833b204e75b8b5aad8b5881bfc0adb5ef38a3275b9c"),
  replicateInitiator: fromHex("51812a2a359b50369536775df89e18e47740f3db72ac0ae70b29594c194dc316"),
  replicateResponder: fromHex("0438492d02970cc13528ac0262bca0074e0926260256865accc0bf15bd79127d"),
  manifest: fromHex("e64b7108eacce47cfc61ac850568f55f8b15b82ec5ed78c4ec597b036e2a1498"),
  defaultNamespace: fromHex("4144eea531e483d54e0c14f4ca68e0644f355343ff6fcb0f005200e12cd747cb"),
  defaultEncryption: fromHex("9aedb6f1dea8487cc1e1698f97eb2f063f6db4c649695622e7b675e2ceafa6e9"),
};
