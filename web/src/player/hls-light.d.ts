/** The light build (no subtitles, no DRM, no alternative audio) has the same interface and ships no types. */
declare module "hls.js/light" {
  export * from "hls.js";
  export { default } from "hls.js";
}
