/** Something that is known by a number. */
interface Numbered {
  readonly id: number;
}

const slotsAtFirst = 64;
const slotsMax = 65_536;

/**
 * A table of ids that are given out in order and mostly taken back soon. No Map: of one that is filled and emptied all the
 * time V8 keeps what stood in its earlier tables until the next full collection (16 MB a scavenge at 20,000 calls a
 * second). A straggler in the way of a later id makes room by moving to a Map of its own, which is small.
 */
export class Ring<T extends Numbered> {
  #slots: (T | undefined)[] = new Array(slotsAtFirst).fill(undefined);
  #mask = slotsAtFirst - 1;
  #stragglers: Map<number, T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const entry = this.#slots[id & this.#mask];
    if (entry !== undefined && entry.id === id) return entry;
    return this.#stragglers?.get(id);
  }

  /** `entry` must not be in it. */
  add(entry: T): void {
    let at = entry.id & this.#mask;
    if (this.#slots[at] !== undefined && this.#size > this.#mask >> 1 && this.#mask < slotsMax - 1) {
      this.#grow();
      at = entry.id & this.#mask;
    }
    const before = this.#slots[at];
    if (before !== undefined) {
      this.#stragglers ??= new Map();
      this.#stragglers.set(before.id, before);
    }
    this.#slots[at] = entry;
    this.#size += 1;
  }

  /** Whether it was in it. */
  delete(id: number): boolean {
    const at = id & this.#mask;
    if (this.#slots[at]?.id === id) {
      this.#slots[at] = undefined;
    } else {
      if (!this.#stragglers?.delete(id)) return false;
      if (this.#stragglers.size === 0) this.#stragglers = undefined;
    }
    this.#size -= 1;
    return true;
  }

  /** All that is in it now, in no order. */
  all(): T[] {
    const all = this.#stragglers ? [...this.#stragglers.values()] : [];
    for (const entry of this.#slots) if (entry !== undefined) all.push(entry);
    return all;
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#stragglers = undefined;
    this.#size = 0;
  }

  #grow(): void {
    const all = this.all();
    this.#mask = this.#mask * 2 + 1;
    this.#slots = new Array(this.#mask + 1).fill(undefined);
    this.#stragglers = undefined;
    this.#size = 0;
    for (const entry of all) this.add(entry);
  }
}
