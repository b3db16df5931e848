// `npm run mock`: the mock on a fixed port, to look at `dist/` by hand, or behind `npm run dev`.
import { startMock } from "./server.mjs";

const { url } = await startMock({ port: Number(process.env["PORT"] ?? 8080) });
console.log(`Mock of Tu Repe: ${url}`);
