import { useEffect, useId, useRef, useState } from "react";
import { clockTime } from "../format";
import { Figure } from "../parts/figures";
import "./chart.css";
import type { Plot } from "./plot";
import { strokeOf } from "./strokes";

export interface ChartData {
  /** Seconds since 1970, ascending. */
  times: number[];
  /** Of each line a value a time; `null` is a gap. */
  series: { label: string; values: (number | null)[] }[];
}

interface Props {
  title: string;
  data: ChartData;
  format: (value: number) => string;
  /** In the place of lines without a point. */
  empty: string;
}

/** So many of the newest rows in words; more nobody reads. */
const ROWS_MAX = 60;

/** Lines over time; what they show is also in words and in a table. */
export function Chart({ title, data, format, empty }: Props) {
  const titleId = useId();
  const [cursor, setCursor] = useState<number>();
  const last = data.times.length - 1;
  const place = cursor !== undefined && cursor <= last ? cursor : last;
  const time = data.times[place];

  return (
    <figure className="chart" aria-labelledby={titleId}>
      <figcaption className="chart-head">
        <h2 id={titleId}>{title}</h2>
        <span className="hint">{hasPoint(data) && time !== undefined && clockTime(time)}</span>
      </figcaption>
      {!hasPoint(data) ? (
        <p className="ops-empty">{empty}</p>
      ) : (
        <>
          <ul className="chart-legend">
            {data.series.map(({ label, values }, index) => (
              <li key={label} data-series={strokeOf(index).colour}>
                <svg className="chart-key" viewBox="0 0 26 4" aria-hidden="true">
                  <line x1="0" x2="26" y1="2" y2="2" strokeDasharray={strokeOf(index).dash.join(" ")} />
                </svg>
                {label} <b>{<Figure value={values[place]} as={format} />}</b>
              </li>
            ))}
          </ul>
          <Canvas title={title} data={data} format={format} onCursor={setCursor} />
          <DataDetails title={title} data={data} format={format} />
        </>
      )}
    </figure>
  );
}

function hasPoint({ series }: ChartData): boolean {
  return series.some(({ values }) => values.some((value) => value !== null));
}

function Canvas({
  title,
  data,
  format,
  onCursor,
}: Pick<Props, "title" | "data" | "format"> & { onCursor: (index: number | undefined) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot>(undefined);
  const newest = useRef(data);
  const [isMissing, setMissing] = useState(false);
  const labels = data.series.map(({ label }) => label).join("\n");

  useEffect(() => {
    newest.current = data;
    plot.current?.set(data);
  }, [data]);

  useEffect(() => {
    const life = new AbortController();
    const draw = async () => {
      const { Plot } = await import("./plot");
      if (life.signal.aborted || host.current === null) return;
      plot.current = new Plot(host.current, newest.current, { labels: labels.split("\n"), format, onCursor });
    };
    // Without a canvas, or when the file cannot be had, the table is left.
    draw().catch(() => setMissing(true));
    return () => {
      life.abort();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [labels, format, onCursor]);

  if (isMissing)
    return <p className="hint">The lines cannot be drawn here; the table below has the figures.</p>;
  return <div ref={host} className="chart-canvas" role="img" aria-label={inWords(title, data, format)} />;
}

/** "Lag: sink 2 s at the end, at most 8 s; …" */
export function inWords(title: string, { series }: ChartData, format: (value: number) => string): string {
  const lines = series.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    const last = values.at(-1) ?? null;
    if (known.length === 0) return `${label} unknown`;
    const most = known.reduce((a, b) => Math.max(a, b), 0);
    return `${label} ${last === null ? "unknown" : format(last)} at the end, at most ${format(most)}`;
  });
  return `${title}: ${lines.join("; ")}`;
}

function DataDetails({ title, data, format }: Pick<Props, "title" | "data" | "format">) {
  const [isOpen, setOpen] = useState(false);
  const places = data.times.map((_, place) => place).slice(-ROWS_MAX);
  places.reverse();
  return (
    <details className="chart-table" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        As a table<span className="visually-hidden">: {title}</span>
      </summary>
      {isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be within reach of the keyboard
        <section className="ops-scroll" aria-label={`${title} as a table`} tabIndex={0}>
          <table className="ops-table">
            <thead>
              <tr>
                <th scope="col">Time</th>
                {data.series.map(({ label }) => (
                  <th scope="col" className="ops-number" key={label}>
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {places.map((place) => (
                <tr key={data.times[place]}>
                  <th scope="row">{clockTime(data.times[place] ?? 0)}</th>
                  {data.series.map(({ label, values }) => (
                    <td className="ops-number" key={label}>
                      <Figure value={values[place]} as={format} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </details>
  );
}
