import { FlotillaError } from "../base/errors.ts";

/** The places in which calls run at once. A call's is given back when it settled, or when nobody holds its result. */
export interface Places {
  /** Undefined when all are taken. */
  take(): Place | undefined;
  /** Why a call that got none fails. */
  refusal(): FlotillaError;
}

/** One holder's part in the place of a call. All of it may be done more than once. */
export interface Place {
  settled(): void;
  /** For one more holder of the result. */
  share(): Place;
  /** This holder disposed the result. */
  letGo(): void;
}

export function makePlaces(callsMax: number): Places {
  let taken = 0;
  return {
    take() {
      if (taken >= callsMax) return undefined;
      taken += 1;
      return makePlace(() => {
        taken -= 1;
      });
    },
    refusal() {
      const message = `More than ${callsMax} calls of one callback at once`;
      return new FlotillaError("resource_exhausted", message, { reason: "callback_busy" });
    },
  };
}

function makePlace(giveBack: () => void): Place {
  let isTaken = true;
  let holders = 0;
  return share();

  function settled(): void {
    if (!isTaken) return;
    isTaken = false;
    giveBack();
  }

  function share(): Place {
    holders += 1;
    let isHeld = true;
    return {
      settled,
      share,
      letGo() {
        if (!isHeld) return;
        isHeld = false;
        holders -= 1;
        if (holders === 0) settled();
      },
    };
  }
}
