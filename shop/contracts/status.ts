/** One gateway process, and what it knows of the services behind it. */
export interface SystemStatus {
  readonly version: string;
  /** Null where the program is no repository. */
  readonly commit: string | null;
  /** This run of the gateway: with several of them, each answers for itself. */
  readonly instance: string;
  readonly uptimeMs: number;
  readonly load: {
    /** Calls are refused because more come than can be answered. */
    readonly isOverloaded: boolean;
    /** How many were so far. */
    readonly shed: number;
    /** How late the event loop was, at worst, in the last seconds. */
    readonly loopLagMs: number;
  };
  readonly destinations: readonly DestinationStatus[];
}

export interface DestinationStatus {
  readonly name: string;
  /** Calls that go there now, that wait to, and that were refused because too many did. */
  readonly underWay: number;
  readonly waiting: number;
  readonly refused: number;
  /** Calls that were sent once more. */
  readonly repeated: number;
  readonly instances: readonly InstanceStatus[];
}

export interface InstanceStatus {
  readonly url: string;
  /** Its run; absent while it is away. */
  readonly instance?: string;
  readonly isOpen: boolean;
  /** It is stopping, or is to be used no more. */
  readonly isLeaving: boolean;
  readonly underWay: number;
  /** For how long it has been away, or has answered none of the calls that are under way. */
  readonly silentMs: number;
  /** Calls that failed so that its breakers count them. */
  readonly failures: number;
  /** By group of calls: `closed`, `open` or `half_open`. */
  readonly breakers: Readonly<Record<string, string>>;
}
