const two = (value: number): string => String(value).padStart(2, '0');

/** Local time to the second with its offset from UTC at that moment: `2026-11-22T15:32:07+05:30`. */
export function localSeconds(date: Date): string {
  return `${clock(date)}${offset(date)}`;
}

/** The same to the millisecond: `2026-11-22T15:32:07.437+05:30`. */
export function localMilliseconds(date: Date): string {
  return `${clock(date)}.${String(date.getMilliseconds()).padStart(3, '0')}${offset(date)}`;
}

/** To the microsecond, of which a `Date` knows three digits, and without the offset: `2026-11-22T15:32:07.437000`. */
export function localMicroseconds(date: Date): string {
  return `${clock(date)}.${String(date.getMilliseconds()).padStart(3, '0')}000`;
}

function clock(date: Date): string {
  const day = [String(date.getFullYear()).padStart(4, '0'), two(date.getMonth() + 1), two(date.getDate())];
  return `${day.join('-')}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function offset(date: Date): string {
  // Minutes to add to local time to get UTC, so the sign is turned.
  const minutes = Math.round(-date.getTimezoneOffset());
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
