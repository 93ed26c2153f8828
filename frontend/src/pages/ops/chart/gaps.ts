/** Places of values with a gap on either side: no line leads to them, so they need a point to be seen. */
export function isolated(values: ArrayLike<number | null | undefined>): number[] {
  const isKnown = (place: number) => typeof values[place] === "number";
  const places = Array.from({ length: values.length }, (_, place) => place);
  return places.filter((place) => isKnown(place) && !isKnown(place - 1) && !isKnown(place + 1));
}
