import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Where a `turepe serve` or `cargo xtask demo` listens while the interface is worked on. */
const BACKEND = process.env["TUREPE_BACKEND"] ?? "http://localhost:8080";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    // The server's content security policy allows files of its own only, no `data:` addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js is one chunk that only the match page loads.
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: Object.fromEntries(["/api", "/replay/", "/media/", "/init/", "/frame/"].map((path) => [path, BACKEND])),
  },
});
