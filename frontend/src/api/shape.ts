/** Saying what shape an answer must have, and checking that it has it. */

import { isRecord } from "./client";

export type Guard<T> = (value: unknown) => value is T;

export const isText = (value: unknown): value is string => typeof value === "string";

export const isFlag = (value: unknown): value is boolean => typeof value === "boolean";

/** Neither NaN nor infinite. */
export const isNumber = (value: unknown): value is number => Number.isFinite(value);

/** Whatever it is, it is shown as it comes. */
export const isAnything = (_: unknown): _ is unknown => true;

export function oneOf<const T extends string>(...texts: T[]): Guard<T> {
  return (value): value is T => texts.some((text) => text === value);
}

export function orNull<T>(guard: Guard<T>): Guard<T | null> {
  return (value): value is T | null => value === null || guard(value);
}

export function listOf<T>(guard: Guard<T>): Guard<T[]> {
  return (value): value is T[] => Array.isArray(value) && value.every((one) => guard(one));
}

/** An object with names that nobody knows beforehand. */
export function recordOf<T>(guard: Guard<T>): Guard<Record<string, T>> {
  return (value): value is Record<string, T> => isRecord(value) && Object.values(value).every(guard);
}

/** An object with at least these fields. */
export function shaped<T extends object>(fields: { [K in keyof T]-?: Guard<T[K]> }): Guard<T> {
  const guards = Object.entries<Guard<unknown>>(fields);
  return (value): value is T => isRecord(value) && guards.every(([name, guard]) => guard(value[name]));
}
