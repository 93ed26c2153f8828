import { useId } from "react";

/**
 * A drawing made from the SKU alone: always the same for one, different for others. What matters is between 75 and
 * 325 from the top: the rest is cut off where the picture is wide.
 */
export function ProductPicture({ sku }: { sku: string }) {
  const gradient = useId();
  const { sky, motif } = draw(sku);
  return (
    <svg
      className="picture"
      viewBox="0 0 400 400"
      preserveAspectRatio="xMidYMid slice"
      aria-hidden="true"
      focusable="false"
    >
      <defs>
        <linearGradient id={gradient} x1="0" y1="0" x2="0.35" y2="1">
          <stop offset="0" stopColor={sky[0]} />
          <stop offset="1" stopColor={sky[1]} />
        </linearGradient>
      </defs>
      <rect width="400" height="400" fill={`url(#${gradient})`} />
      {motif.map((shape) => (
        <path key={shape.d} d={shape.d} fill={shape.fill} />
      ))}
    </svg>
  );
}

interface Shape {
  d: string;
  fill: string;
}

interface Drawing {
  sky: [string, string];
  motif: Shape[];
}

type Random = () => number;
/** A colour of the drawing: how far along its range of hues, how saturated, how light; shares of 1. */
type Paint = (along: number, saturation: number, lightness: number) => string;

export function draw(sku: string): Drawing {
  const random = randomFrom(sku);
  const hue = random() * 360;
  const range = 40 + random() * 35;
  const paint: Paint = (along, saturation, lightness) =>
    `hsl(${Math.round(hue + along * range) % 360} ${Math.round(saturation * 100)}% ${Math.round(lightness * 100)}%)`;
  const motifs = [dunes, arches, stones, moons];
  const motif = motifs[Math.floor(random() * motifs.length)] ?? dunes;
  return { sky: [paint(0, 0.5, 0.9), paint(1, 0.55, 0.8)], motif: motif(random, paint) };
}

/** Waves of sand under a sun. */
function dunes(random: Random, paint: Paint): Shape[] {
  const sun = circle(120 + random() * 160, 120 + random() * 40, 44 + random() * 26);
  const waves = [0, 1, 2, 3].map((row) => {
    const y = 205 + row * 48;
    const lift = 30 + random() * 40;
    const lean = 90 + random() * 130;
    return {
      d: `M-10 ${num(y + lift / 2)}C${num(lean)} ${num(y - lift)} ${num(lean + 90)} ${num(y + lift)} 410 ${num(y - lift / 3)}V410H-10Z`,
      fill: paint(0.2 + row * 0.25, 0.42 + row * 0.04, 0.74 - row * 0.12),
    };
  });
  return [{ d: sun, fill: paint(-0.8, 0.85, 0.93) }, ...waves];
}

/** A doorway behind a doorway. */
function arches(random: Random, paint: Paint): Shape[] {
  const middle = 200 + (random() - 0.5) * 70;
  const step = 22 + random() * 6;
  const rows = [0, 1, 2, 3, 4].map((row) => {
    const half = 138 - row * step;
    const top = 232 + row * step * 0.5;
    return {
      d: `M${num(middle - half)} 410V${num(top)}A${num(half)} ${num(half)} 0 0 1 ${num(middle + half)} ${num(top)}V410Z`,
      fill: paint(row * 0.24, 0.4 + row * 0.05, 0.78 - row * 0.1),
    };
  });
  const light = circle(middle, 300, 13 + random() * 5);
  return [...rows, { d: light, fill: paint(-0.8, 0.85, 0.93) }];
}

/** Pebbles, one on the other. */
function stones(random: Random, paint: Paint): Shape[] {
  const ground = { d: "M-10 304C90 290 300 290 410 306V410H-10Z", fill: paint(0.9, 0.35, 0.66) };
  let y = 306;
  let width = 82 + random() * 16;
  const pile = [0, 1, 2, 3].map((row) => {
    const height = width * (0.36 + random() * 0.12);
    const x = 200 + (random() - 0.5) * 26;
    y -= height;
    const stone = {
      d: ellipse(x, y, width, height),
      fill: paint(0.1 + row * 0.28, 0.4, 0.46 + row * 0.1),
    };
    y -= height * 0.86;
    width *= 0.7 + random() * 0.08;
    return stone;
  });
  return [ground, ...pile];
}

/** Rings around a point, and something on its way. */
function moons(random: Random, paint: Paint): Shape[] {
  const [x, y] = [165 + random() * 70, 190 + random() * 20];
  const rings = [0, 1, 2, 3].map((row) => ({
    d: circle(x, y, 120 - row * 28),
    fill: paint(row * 0.3, 0.42 + row * 0.05, 0.8 - row * 0.11),
  }));
  const angle = random() * Math.PI * 2;
  const small = circle(x + Math.cos(angle) * 78, y + Math.sin(angle) * 78, 13 + random() * 6);
  return [...rings, { d: small, fill: paint(-0.8, 0.85, 0.93) }];
}

function circle(x: number, y: number, radius: number): string {
  return ellipse(x, y, radius, radius);
}

function ellipse(x: number, y: number, rx: number, ry: number): string {
  const arc = `a${num(rx)} ${num(ry)} 0 1 0`;
  return `M${num(x - rx)} ${num(y)}${arc} ${num(rx * 2)} 0${arc} ${num(-rx * 2)} 0Z`;
}

function num(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Chance that depends on `text` alone: FNV-1a for the seed, then mulberry32. */
function randomFrom(text: string): Random {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) state = Math.imul(state ^ byte, 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
