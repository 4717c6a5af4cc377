/**
 * What the style checks need to know of a source file, read from its syntax tree.
 *
 * The parser is the one inside of `deno lint`, reached through its plug-in interface: a whole file takes about a
 * millisecond, nothing has to be installed, and it only exists under `deno test`.
 */

/** One finding and its line, from 1. */
export interface Located {
  readonly text: string;
  readonly line: number;
}

/** What one file imports or re-exports. */
export interface Import extends Located {
  /** Whether nothing is left of it after type stripping. */
  readonly typeOnly: boolean;
}

/** What one file contains. */
export interface Source {
  /** Relative to the repository, with slashes. */
  readonly path: string;
  readonly text: string;
  /** The specifiers of all imports, static, dynamic and of types; `?` for one that is computed. */
  readonly imports: readonly Import[];
  /** Global names in use, and members of globals as `Math.random`. */
  readonly globals: readonly Located[];
  /** All functions and methods, with their lengths. */
  readonly functions: readonly (Located & { readonly lines: number })[];
  /** Syntax that type stripping cannot remove or the oldest supported Node cannot parse. */
  readonly foreign: readonly Located[];
}

/** A node of the tree; the real types distinguish 180 kinds, which is no help here. */
interface Node {
  readonly type: string;
  readonly range: readonly [number, number];
  readonly parent: Node;
  // deno-lint-ignore no-explicit-any
  readonly [key: string]: any;
}

interface Scoped {
  readonly name: string;
  readonly range: readonly [number, number];
}

/** `Deno.lint`, which the type checker knows only as an unstable interface. */
const linter = (globalThis as unknown as { Deno?: { lint: Linter } }).Deno?.lint as Linter;

interface Linter {
  runPlugin(plugin: unknown, path: string, text: string): unknown;
}

const SCOPES =
  /^(Program|BlockStatement|StaticBlock|For.*Statement|CatchClause|SwitchStatement|TSModuleBlock)$/;
const NOT_ERASABLE =
  /^(TSEnumDeclaration|TSModuleDeclaration|TSParameterProperty|TSImportEqualsDeclaration)$/;
const GLOBAL_OBJECTS = ["globalThis", "window", "self"];

/** Parses `text`, the content of the file at `path`. Only under `deno test`. */
export function readSource(path: string, text: string): Source {
  const imports: Import[] = [];
  const functions: Source["functions"][number][] = [];
  const foreign: Located[] = [];
  const names: Scoped[] = [];
  const bindings: Scoped[] = [];
  const lineOf = lineFinder(text);

  function visit(node: Node): void {
    const line = lineOf(node.range[0]);
    const specifier = importedSpecifier(node);
    if (specifier !== undefined) imports.push({ text: specifier, line, typeOnly: isTypeOnly(node) });
    if (/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) {
      functions.push({ text: functionName(node), line, lines: lineOf(node.range[1]) - line + 1 });
    }
    if (NOT_ERASABLE.test(node.type)) foreign.push({ text: node.type, line });
    if (node.type === "VariableDeclaration" && /using/.test(node["kind"])) {
      foreign.push({ text: node["kind"], line });
    }
    collectBindings(node, bindings);
    const name = globalName(node);
    if (name !== undefined) names.push({ name, range: node.range });
  }

  const plugin = { name: "tidy", rules: { read: { create: () => ({ "*": visit }) } } };
  linter.runPlugin(plugin, path, text);

  const isBound = ({ name, range }: Scoped) =>
    bindings.some((one) =>
      one.name === /^\w*/.exec(name)![0] && one.range[0] <= range[0] && range[1] <= one.range[1]
    );
  const globals = names.filter((name) => !isBound(name))
    .map(({ name, range }) => ({ text: name, line: lineOf(range[0]) }));
  return { path, text, imports, globals, functions, foreign };
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    for (let high = starts.length; high - low > 1;) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}

function importedSpecifier(node: Node): string | undefined {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportAllDeclaration":
    case "ExportNamedDeclaration":
      return node["source"]?.value;
    case "ImportExpression":
      return node["source"].type === "Literal" ? node["source"].value : "?";
    case "TSImportType":
      return node["argument"].literal.value;
    default:
      return undefined;
  }
}

function isTypeOnly(node: Node): boolean {
  if (node.type === "TSImportType") return true;
  const kind = (one: Node) => one["importKind"] ?? one["exportKind"];
  if (kind(node) === "type") return true;
  const specifiers: Node[] = node["specifiers"] ?? [];
  return specifiers.length > 0 && specifiers.every((one) => kind(one) === "type");
}

function functionName({ id, parent }: Node): string {
  const named: Node | undefined = id ?? parent["key"] ?? parent["id"];
  return named?.["name"] ?? "(anonymous)";
}

/** The names that `node` binds, each with the part of the file in which it hides a global. */
function collectBindings(node: Node, into: Scoped[]): void {
  const bind = (pattern: Node, scope: Node) => {
    for (const name of patternNames(pattern)) into.push({ name, range: scope.range });
  };
  if (Array.isArray(node["params"])) { for (const parameter of node["params"]) bind(parameter, node); }
  switch (node.type) {
    case "VariableDeclarator":
      return bind(node["id"], scopeOf(node));
    case "FunctionDeclaration":
    case "ClassDeclaration":
      if (node["id"]) bind(node["id"], scopeOf(node.parent));
      return;
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
      return bind(node["local"], scopeOf(node));
    case "CatchClause":
      if (node["param"]) bind(node["param"], node);
  }
}

function scopeOf(node: Node): Node {
  let scope = node;
  while (!SCOPES.test(scope.type)) scope = scope.parent;
  return scope;
}

function* patternNames(pattern: Node | null): Generator<string> {
  switch (pattern?.type) {
    case "Identifier":
      return yield pattern["name"];
    case "AssignmentPattern":
      return yield* patternNames(pattern["left"]);
    case "RestElement":
      return yield* patternNames(pattern["argument"]);
    case "TSParameterProperty":
      return yield* patternNames(pattern["parameter"]);
    case "ArrayPattern":
      for (const element of pattern["elements"]) yield* patternNames(element);
      return;
    case "ObjectPattern":
      for (const property of pattern["properties"]) yield* patternNames(property["value"] ?? property);
  }
}

/** The name that an identifier, a member access or a call without arguments refers to, if it may be a global. */
function globalName(node: Node): string | undefined {
  if (
    /^(New|Call)Expression$/.test(node.type) && node["callee"].type === "Identifier" &&
    node["arguments"].length === 0
  ) {
    return `${node["callee"].name}()`;
  }
  if (node.type === "MemberExpression" && !node["computed"] && node["object"].type === "Identifier") {
    const object: string = node["object"].name;
    return GLOBAL_OBJECTS.includes(object) ? node["property"].name : `${object}.${node["property"].name}`;
  }
  if (node.type !== "Identifier" || isPropertyName(node)) return undefined;
  return node["name"];
}

function isPropertyName(node: Node): boolean {
  const { parent } = node;
  if (parent["computed"] === true) return false;
  if (parent.type === "MemberExpression") return parent["property"] === node;
  if (parent.type === "ImportSpecifier" || parent.type === "ExportSpecifier") return true;
  if (parent.type === "TSQualifiedName") return parent["right"] === node;
  return parent["key"] === node && parent["value"] !== node;
}
