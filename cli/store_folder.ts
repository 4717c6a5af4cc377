/**
 * Where the store of logs is, if nobody says otherwise: one for all commands.
 */
import { existsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { extname, join } from "node:path";
import process from "node:process";

/** The file of a store in its folder. */
export const STORE_FILE = "hypha.sqlite";

/** The folder: what the variable HYPHA_STORE says, or hypha's part of the user's folder for data. */
export function storeFolder(): string {
  const { HYPHA_STORE, XDG_DATA_HOME, LOCALAPPDATA } = process.env;
  if (HYPHA_STORE !== undefined && HYPHA_STORE !== "") return HYPHA_STORE;
  if (XDG_DATA_HOME !== undefined && XDG_DATA_HOME !== "") return join(XDG_DATA_HOME, "hypha");
  if (process.platform === "darwin") return join(homedir(), "Library", "Application Support", "hypha");
  if (process.platform === "win32" && LOCALAPPDATA !== undefined) return join(LOCALAPPDATA, "hypha", "data");
  return join(homedir(), ".local", "share", "hypha");
}

/** The file of the store that `path` names: itself, or that in it if it is a folder, or is to become one. */
export function storeFile(path: string): string {
  const isFile = existsSync(path) ? !statSync(path).isDirectory() : extname(path) === ".sqlite";
  return isFile ? path : join(path, STORE_FILE);
}
