/** An answer checked, cleaned and put into words. */
export interface Shape {
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What one tool has made of things that have not changed since: they need not be made again. Forgets what nobody else remembers. */
export class Shapes {
  readonly #made = new WeakMap<object, object>();
  readonly #shapes = new WeakMap<object, Map<string, Shape>>();

  /** `ToolContext.once` */
  readonly once = <T extends object>(source: object, make: () => T): T => {
    const known = this.#made.get(source);
    if (known) return known as T; // one tool makes one kind of thing of a source
    const made = make();
    this.#made.set(source, made);
    this.#shapes.set(made, new Map());
    return made;
  };

  /** The shape of a result that `once` has made, for these arguments; of any other it is made each time. */
  of(result: unknown, args: unknown, make: () => Shape): Shape {
    const shapes = typeof result === "object" && result ? this.#shapes.get(result) : undefined;
    if (!shapes) return make();
    const asked = JSON.stringify(args);
    const known = shapes.get(asked);
    if (known) return known;
    const shape = make();
    if (shapes.size < maxShapes) shapes.set(asked, shape);
    return shape;
  }
}

/** By vmid, by name, by name in capitals: more ways to ask for one thing are not worth remembering. */
const maxShapes = 4;
