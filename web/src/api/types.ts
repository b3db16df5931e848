/** Short names for the generated types. Nothing here is written by hand that the server's document already says. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type AccessOpened = Schemas["AccessOpened"];
export type AccessPolicy = Schemas["AccessPolicy"];
export type AccessRequest = Schemas["AccessRequest"];
export type AudioLeftOut = Schemas["AudioLeftOut"];
export type Club = Schemas["ClubProfile"];
export type ClubSummary = Schemas["ClubSummary"];
export type Court = Schemas["CourtSummary"];
export type DayCoverage = Schemas["DayCoverage"];
export type DaySlots = Schemas["DaySlots"];
export type Gap = Schemas["ReplayGap"];
export type GapCause = Schemas["GapCause"];
export type MonthDays = Schemas["MonthDays"];
export type OpeningHours = Schemas["OpeningHours"];
export type ProblemCode = Schemas["ProblemCode"];
export type ProblemDocument = Schemas["ProblemDocument"];
export type Replay = Schemas["Replay"];
export type Slot = Schemas["SlotSummary"];
