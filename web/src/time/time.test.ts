import { describe, expect, it } from "vitest";

import { openingDay } from "./openingDay";
import { addDays, addMonths, daysInMonth, isDate, localDate, localTimeOfDay, weekdayOf } from "./zone";

describe("club-local time", () => {
  it("is the club's, whatever the phone's zone is", () => {
    const instant = Date.parse("2026-11-21T23:30:05Z");
    expect(localDate(instant, "Europe/Madrid")).toBe("2026-11-22");
    expect(localTimeOfDay(instant, "Europe/Madrid")).toBe("00:30:05");
    expect(localDate(instant, "America/Argentina/Buenos_Aires")).toBe("2026-11-21");
  });

  it("tells both halves of the night the clocks go back", () => {
    expect(localTimeOfDay(Date.parse("2026-10-25T00:30:00Z"), "Europe/Madrid")).toBe("02:30:00");
    expect(localTimeOfDay(Date.parse("2026-10-25T01:30:00Z"), "Europe/Madrid")).toBe("02:30:00");
  });

  it("falls back to UTC for a zone the browser does not know", () => {
    expect(localTimeOfDay(Date.parse("2026-11-21T23:30:05Z"), "Mars/Olympus")).toBe("23:30:05");
  });
});

describe("dates", () => {
  it("are checked against the calendar", () => {
    expect(isDate("2024-02-29")).toBe(true);
    for (const date of ["2026-02-29", "2026-13-01", "2026-1-1", "ayer", ""]) expect(isDate(date)).toBe(false);
  });

  it("are counted over months, years and changes of the clock", () => {
    expect(addDays("2026-03-28", 2)).toBe("2026-03-30");
    expect(addDays("2027-01-01", -1)).toBe("2026-12-31");
    expect(addMonths("2026-12", 1)).toBe("2027-01");
    expect(addMonths("2026-01", -1)).toBe("2025-12");
    expect(daysInMonth("2024-02")).toBe(29);
    expect(weekdayOf("2026-11-21")).toBe(5);
  });
});

describe("today at a club", () => {
  const late = [{ weekday: "sat", open: "09:00", close: "02:00" }] as const;

  it("is still yesterday after midnight while the club is open", () => {
    expect(openingDay(Date.parse("2026-11-22T00:30:00Z"), "Europe/Madrid", late)).toBe("2026-11-21");
  });

  it("is the date on the wall once it has closed", () => {
    expect(openingDay(Date.parse("2026-11-22T01:00:00Z"), "Europe/Madrid", late)).toBe("2026-11-22");
    expect(openingDay(Date.parse("2026-11-21T23:30:00Z"), "Europe/Madrid", [{ weekday: "sat", open: "08:00", close: "24:00" }])).toBe(
      "2026-11-22",
    );
  });
});
