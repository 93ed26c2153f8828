/** Line drawings on a grid of 24, in the colour of the text around them. */

const PATHS = {
  bolt: "M13 3 5 13.5h6L10.5 21 19 10.5h-6.2L13 3Z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-14v5l3.5 2",
  cloudOff: "m3 3 18 18M9 6.3A6 6 0 0 1 17.9 10 4.5 4.5 0 0 1 20 18M6.7 9.5A4.8 4.8 0 0 0 7 19h9",
  copy: "M9 9h10.5v11.5H9zM15 9V3.5H4.5V15H9",
  empty: "M4 8.5 12 4l8 4.5v7L12 20l-8-4.5v-7Zm0 0 8 4.5m0 0 8-4.5M12 13v7",
  hourglass: "M7 3h10M7 21h10M8 3c0 5 4 5.5 4 9s-4 4-4 9m8-18c0 5-4 5.5-4 9s4 4 4 9",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-10v5.5m0-9v.1",
  pause: "M9 5.5v13m6-13v13",
  question:
    "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm-2.5-11.3a2.6 2.6 0 1 1 3.9 2.2c-.9.5-1.4 1-1.4 2m0 2.6v.1",
  receipt: "M6 3.5h12v17l-2.4-1.6-2.4 1.6-2.4-1.6-2.4 1.6L6 20.5v-17Zm3 5h6m-6 4h6",
  soldOut: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM5.7 5.7l12.6 12.6",
  warning: "M12 4 2.8 20h18.4L12 4Zm0 6v4.5m0 2.6v.1",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture beside words that say the same, so it is hidden from screen readers. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
