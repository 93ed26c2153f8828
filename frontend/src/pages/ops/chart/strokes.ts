/** How lines are told apart: by colour, and by their dashes for who cannot tell the colours. */

/** As many as `ops.css` has. */
const COLOURS = 6;
/** Another number than that of the colours, so that the two do not come round together. */
const DASHES: number[][] = [[], [6, 4], [2, 3], [10, 3, 2, 3], [12, 5]];

export interface Stroke {
  /** Counts from 1, as in the name `--series-1`. */
  colour: number;
  /** Lengths of line and gap in pixels; none is a whole line. */
  dash: number[];
}

export function strokeOf(place: number): Stroke {
  return { colour: (place % COLOURS) + 1, dash: DASHES[place % DASHES.length] ?? [] };
}
