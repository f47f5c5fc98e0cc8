/** What kit/package.json says of itself, as far as the published one takes it over. */
export interface OwnManifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly type: string;
  readonly keywords: readonly string[];
  readonly engines: Readonly<Record<string, string>>;
  readonly browser: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, unknown>>;
}

/**
 * The manifest of what is published. In the repository the sources are the package (`exports` of kit/package.json); Node
 * strips no types below `node_modules`, so there it is what they were compiled to.
 */
export function publishedManifest(own: OwnManifest): object {
  const { name, version, description, license, type, keywords, engines, browser } = own;
  const { dependencies, peerDependencies, peerDependenciesMeta } = own;
  return {
    name,
    version,
    description,
    keywords,
    license,
    type,
    engines,
    types: "./dist/index.d.ts",
    exports: {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./testing": { types: "./dist/testing/index.d.ts", default: "./dist/testing/index.js" },
      "./browser": { types: "./dist/browser/index.d.ts", default: "./dist/browser.js" },
      "./package.json": "./package.json",
    },
    browser,
    // It gives stubs their constructor when it is loaded; a bundler must not drop it.
    sideEffects: ["./dist/rpc/target.js", "./dist/browser.js", "./src/rpc/target.ts"],
    files: ["dist", "src", "CHANGELOG.md"],
    publishConfig: { access: "public" },
    dependencies,
    peerDependencies,
    peerDependenciesMeta,
  };
}
