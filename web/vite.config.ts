/** Builds the page, and in mode `widget` the module that shows it in notebooks. */
import { createHash } from "node:crypto"
import { defineConfig, type Plugin, type UserConfig } from "vite"

const digest = (text: string): string =>
  `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** One file: script and style stand inside, and the policy names their digests. */
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_, bundle) {
      const files = Object.values(bundle)
      const page = files.find((file) => file.fileName === "index.html")
      const script = files.find((file) => file.type === "chunk")
      const style = files.find((file) => file.fileName.endsWith(".css"))
      if (page?.type !== "asset" || script?.type !== "chunk" || style?.type !== "asset")
        throw new Error("expected a page, a script and a style sheet")
      const code = script.code.trim().replaceAll("</script", "<\\/script")
      const rules = String(style.source).trim()
      const policy = `default-src 'none'; script-src ${digest(code)}; style-src ${digest(rules)}; img-src data:; base-uri 'none'; form-action 'none'`
      const html = String(page.source)
        .replace(/<script type="module"[^>]*><\/script>\n?/, "")
        .replace(/ *<link rel="stylesheet"[^>]*>/, () => `<style>${rules}</style>`)
        .replace(
          'Content-Security-Policy" content=""',
          `Content-Security-Policy" content="${policy}"`,
        )
        .replace("</body>", () => `<script type="module">${code}</script>\n</body>`)
      for (const file of files) delete bundle[file.fileName]
      this.emitFile({ type: "asset", fileName: "explorer.html", source: html })
    },
  }
}

const target = {
  outDir: process.env.EXPLORER_OUT ?? "../src/softgrad/report",
  emptyOutDir: false,
  target: "es2022",
}

const page: UserConfig = {
  plugins: [oneFile()],
  build: {
    ...target,
    modulePreload: false,
    cssCodeSplit: false,
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
}

const widget: UserConfig = {
  build: {
    ...target,
    rollupOptions: {
      input: "src/widget.ts",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "explorer.js" },
    },
  },
}

export default defineConfig(({ mode }) => (mode === "widget" ? widget : page))
