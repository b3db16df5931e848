import type { Slot } from "../api/types";

/** The slots closest to a time of day, in order of time; those with footage first if there are any. Pure. */
export function nearestSlots(slots: readonly Slot[], time: string, count: number): readonly Slot[] {
  const wanted = minutes(time);
  const withFootage = slots.filter((slot) => slot.coverage > 0);
  const pool = withFootage.length > 0 ? withFootage : slots;
  if (wanted === null) return pool.slice(0, count);
  return pool
    .map((slot) => ({ slot, distance: Math.abs((minutes(slot.time) ?? 0) - wanted) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ slot }) => slot)
    .sort((a, b) => Date.parse(a.start) - Date.parse(b.start));
}

/** The slots just before and after the one that starts at an instant. */
export function neighbours(slots: readonly Slot[], start: string): { readonly before?: Slot; readonly after?: Slot } {
  const index = slots.findIndex((slot) => Date.parse(slot.start) === Date.parse(start));
  if (index < 0) return {};
  const [before, after] = [slots[index - 1], slots[index + 1]];
  return { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
}

function minutes(time: string): number | null {
  const match = /^(\d{1,2}):(\d{2})/.exec(time);
  return match === null ? null : Number(match[1]) * 60 + Number(match[2]);
}
