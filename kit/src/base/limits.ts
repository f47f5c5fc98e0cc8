/**
 * Every limit of the kit, with its unit and its reason. Limits are per class of peer: the edge is tight, a link between
 * our own services carries many callers at once.
 */
export interface Limits {
  /** Larger frames are refused before they are parsed. Our largest legitimate message, a 100-line order, is 14 KiB. */
  readonly frameBytesMax: number;
  /** Bytes that may wait for a peer that does not read; above it the session is cut, not buffered. */
  readonly sendBufferBytesMax: number;
  /** Values in one message: bounds the time that checks take. Our largest legitimate one, a 100-line order, has 500. */
  readonly messageNodesMax: number;
  /** Nesting of one message. */
  readonly messageDepthMax: number;
  /** Capabilities and results that one message refers to: each is an entry of ours for as long as the call is held. */
  readonly messageReferencesMax: number;
  /** Calls a peer may have started and not released: each costs us a table entry (measured 460 B and its object). */
  readonly outstandingCallsMax: number;
  /**
   * Capabilities that one session got as results and has not released; the call beyond it is refused, by itself. Below
   * `outstandingCallsMax`, at which a session of any peer is ended, and at a link with room for `depositsPerPeerMax` in
   * between: the capabilities of one client never end the session that everybody shares. Withdrawals are not among them:
   * `outstandingCallsMax` alone bounds those.
   */
  readonly capabilitiesMax: number;
  /** Bytes of the streams of one session that have come and were not read yet: eight that stand still, as stock sends. */
  readonly streamBytesMax: number;
  /** Calls of one network address that run at once, whether or not anybody still waits: releasing a call does not end it. */
  readonly runningCallsMax: number;
  /** Calls of one session that run at once before its others wait. A person's screen needs about ten. */
  readonly turnsPerSessionMax: number;
  /** The same of all sessions of one network address: bounds what stands before anybody else's next call. */
  readonly turnsPerAddressMax: number;
  /** Calls of one network address that wait for their turn: 2 KB each. */
  readonly waitingCallsMax: number;
  /** How long a call may wait before it begins while the process is overloaded; then it is refused. Milliseconds. */
  readonly overloadWaitMsMax: number;
  /** Pipelined calls on top of each other without a result in between: the last waits for all of them. */
  readonly pipelineDepthMax: number;
  /** Capabilities of the peer's that we hold at once, such as callbacks: each is a table entry of ours. */
  readonly exportsMax: number;
  /** Causes within causes of an error. Ours have none on the wire. */
  readonly errorDepthMax: number;
  /** Messages of one session; a call is three or four. A person's client sends a few, a script hundreds. */
  readonly messagesPerSecondMax: number;
  /** Messages of all sessions that one turn of the event loop works off: about 2 ms, then the sockets are read again. */
  readonly messagesPerTurnMax: number;
  /** A session that says nothing for so long is closed; a client that is still there opens another. Milliseconds. */
  readonly sessionIdleMsMax: number;
  /** No session outlives it, so that what is checked when one opens is checked at least this often. Milliseconds. */
  readonly sessionAgeMsMax: number;
  /**
   * Budgets of one network address that all of an IPv6 /56 may use together. An address of IPv6 is a /64; a subscriber may
   * own a whole /56 or /48, but where each has a /64 the wider network holds many of them.
   */
  readonly network56TimesMax: number;
  /** The same of a /48. */
  readonly network48TimesMax: number;
  /** TCP connections of one network address open at once: 50 KB each. Twice its sessions, for clients that keep some idle. */
  readonly connectionsPerAddressMax: number;
  /**
   * Time that reading the connections of one network address may take, as `intakeCosts` estimates it (ms per second). A
   * quarter of a core: 3,000 requests a second, or 4.5 MB of messages.
   */
  readonly readingMsPerSecondMax: number;
  /** The same at once, when it was quiet before: what anybody else waits for at most (ms). */
  readonly readingBurstMsMax: number;
  /**
   * Messages of one network address that have come and wait their turn; beyond it nothing more is read. A wider network may
   * have twice as many, and twice the reading time, at most.
   */
  readonly unreadMessagesMax: number;
  /** Requests of one connection that are unanswered. Clients send the next one after the answer; few pipeline at all. */
  readonly pipelinedRequestsMax: number;
  /** Ping and pong frames of one session, on average. A heartbeat needs one in several seconds. */
  readonly controlFramesPerSecondMax: number;
  /** The same at once, when it was quiet before: a client that was suspended answers all its pings. */
  readonly controlFramesBurstMax: number;
  /** Fragments of one WebSocket message. Proxies cut messages into 4 KiB or more. */
  readonly fragmentsMax: number;
  /**
   * Hellos of one network address that prove nothing, on average: verifying one takes 0.4 ms. Hellos that prove a service's
   * key don't count.
   */
  readonly hellosPerSecondMax: number;
  /** The same at once, when it was quiet before: a fleet behind one address whose key is not known here yet. */
  readonly hellosBurstMax: number;
  /** Sessions and batches of one network address under way at once; of IPv6, one /64. */
  readonly sessionsPerAddressMax: number;
  /** Sessions and batches that one network address begins, on average. */
  readonly sessionsPerSecondMax: number;
  /** The same at once, when it was quiet before: an office that reconnects after a restart fits. */
  readonly sessionsBurstMax: number;
}

/** For peers that prove nothing: clients, web pages, anybody. */
export const edgeLimits: Limits = {
  frameBytesMax: 256 * 1024,
  sendBufferBytesMax: 4 * 1024 * 1024,
  messageNodesMax: 5_000,
  messageDepthMax: 64,
  messageReferencesMax: 64,
  outstandingCallsMax: 1_000,
  capabilitiesMax: 500,
  streamBytesMax: 2 * 1024 * 1024,
  runningCallsMax: 1_000,
  turnsPerSessionMax: 8,
  turnsPerAddressMax: 16,
  waitingCallsMax: 4_000,
  overloadWaitMsMax: 10,
  pipelineDepthMax: 32,
  exportsMax: 100,
  errorDepthMax: 4,
  messagesPerSecondMax: 10_000,
  messagesPerTurnMax: 64,
  sessionIdleMsMax: 3_600_000,
  sessionAgeMsMax: 24 * 3_600_000,
  network56TimesMax: 4,
  network48TimesMax: 16,
  connectionsPerAddressMax: 512,
  readingMsPerSecondMax: 250,
  readingBurstMsMax: 25,
  unreadMessagesMax: 1_000,
  pipelinedRequestsMax: 16,
  controlFramesPerSecondMax: 10,
  controlFramesBurstMax: 100,
  fragmentsMax: 256,
  hellosPerSecondMax: 20,
  hellosBurstMax: 100,
  sessionsPerAddressMax: 256,
  sessionsPerSecondMax: 256,
  sessionsBurstMax: 512,
};

/** Between services one frame carries a whole event-loop turn of many callers, and the peer is authenticated. */
export const linkLimits: Limits = {
  frameBytesMax: 8 * 1024 * 1024,
  sendBufferBytesMax: 64 * 1024 * 1024,
  messageNodesMax: 20_000,
  messageDepthMax: 64,
  messageReferencesMax: 64,
  outstandingCallsMax: 100_000,
  capabilitiesMax: 40_000,
  streamBytesMax: 32 * 1024 * 1024,
  runningCallsMax: 100_000,
  turnsPerSessionMax: Number.POSITIVE_INFINITY,
  turnsPerAddressMax: Number.POSITIVE_INFINITY,
  waitingCallsMax: Number.POSITIVE_INFINITY,
  // Somebody has worked for it already: it is the edge that gives way.
  overloadWaitMsMax: Number.POSITIVE_INFINITY,
  pipelineDepthMax: 32,
  // At least one for each live introduction: the gifter holds its deposit.
  exportsMax: 100_000,
  errorDepthMax: 4,
  messagesPerSecondMax: Number.POSITIVE_INFINITY,
  messagesPerTurnMax: Number.POSITIVE_INFINITY,
  sessionIdleMsMax: Number.POSITIVE_INFINITY,
  sessionAgeMsMax: Number.POSITIVE_INFINITY,
  network56TimesMax: Number.POSITIVE_INFINITY,
  network48TimesMax: Number.POSITIVE_INFINITY,
  connectionsPerAddressMax: Number.POSITIVE_INFINITY,
  readingMsPerSecondMax: Number.POSITIVE_INFINITY,
  readingBurstMsMax: Number.POSITIVE_INFINITY,
  unreadMessagesMax: Number.POSITIVE_INFINITY,
  pipelinedRequestsMax: Number.POSITIVE_INFINITY,
  controlFramesPerSecondMax: Number.POSITIVE_INFINITY,
  controlFramesBurstMax: Number.POSITIVE_INFINITY,
  fragmentsMax: 16_384,
  hellosPerSecondMax: Number.POSITIVE_INFINITY,
  hellosBurstMax: Number.POSITIVE_INFINITY,
  sessionsPerAddressMax: Number.POSITIVE_INFINITY,
  sessionsPerSecondMax: Number.POSITIVE_INFINITY,
  sessionsBurstMax: Number.POSITIVE_INFINITY,
};

/** Estimated cost of reading (µs), rounded up from measurements, for `readingMsPerSecondMax`. */
export const intakeCosts = {
  /** To accept a TCP connection. */
  connection: 100,
  /** To parse a request's head and answer it, beside its bytes. */
  request: 60,
  /** One piece that arrives, of 2 KiB at most, and is passed to a parser, beside its bytes. */
  slice: 8,
  /** One byte of anything that arrives: a header, a fragment, a text in a message. */
  byte: 0.05,
  /** One chunk of a body that is read. */
  chunk: 2,
  /** One byte of a chunked body, read or unread: a chunk that carries one byte takes six. */
  chunkedByte: 0.4,
  /** One WebSocket message, ping or pong. */
  frame: 5,
  /** One line of a message frame or of a batch: a call, an answer, a context. */
  line: 3,
  /** The text of `/metrics`. */
  metrics: 5_000,
} as const;

/** HTTP batch: a body above it is refused with 413. */
export const batchBytesMax = 256 * 1024;
/** HTTP batch: calls in one body; above it 429. A person's screen needs about ten. */
export const batchCallsMax = 100;
/** HTTP batch: messages in one body; above it 429. A call is three or four. */
export const batchMessagesMax = 1_000;

/**
 * Calls of ours at once that one callback of a peer's has not answered: each is a table entry of ours until its deadline.
 * A subscriber that keeps up has a few. Counted each time that a callback is passed: nobody can tell that two are one.
 */
export const callbackCallsMax = 100;

/** Time a call has when nobody said how long. Milliseconds. */
export const deadlineMsDefault = 10_000;
/** Nobody may ask for more: it bounds how long a hung call holds memory. Milliseconds. */
export const deadlineMsMax = 30_000;

/** A call that runs longer no longer counts among those that keep others waiting. Ours take 1 to 20. Milliseconds. */
export const turnMsMax = 250;

/** After which who was refused for overload may ask again: the queue that stood before it is gone by then. Milliseconds. */
export const overloadRetryMs = 500;

/** A process whose event loop is later than this is not ready for more. Milliseconds. */
export const loopLagMsMax = 2_000;

/** Callers named in the context; a longer chain is cut, and is a loop. */
export const callersMax = 16;

/** A peer that answers no ping within `pongMsMax` is gone: 6.5 s, so that what follows is over within 7. Milliseconds. */
export const pingIntervalMs = 4_500;
export const pongMsMax = 2_000;

/** The same of a page, which asks in place of a ping: each costs the radio of a telephone. Milliseconds. */
export const askIntervalMs = 15_000;
export const answerMsMax = 5_000;

/** From the TCP connection to the authenticated session. Milliseconds. */
export const handshakeMsMax = 5_000;
/** How long a signed hello is good for, and how far clocks may differ. Milliseconds. */
export const helloMsMax = 60_000;
export const clockSkewMsMax = 30_000;
/** How often a session asks whether the key that opened it is still trusted. Milliseconds. */
export const keyCheckMs = 5_000;
/** Remembered hello nonces; above it new sessions are refused until old ones expire. At 24 B each, 5 MB. */
export const helloNoncesMax = 200_000;

/** Live introductions one gifter may have deposited at one home: one for each user who is logged in there. */
export const depositsPerPeerMax = 50_000;
/** Withdrawals of one recipient that wait for their deposit. */
export const parkedPerPeerMax = 1_000;
/** A deposit travels one hop and a withdrawal two, so this is far more than a healthy network needs. Milliseconds. */
export const parkMsMax = 2_000;
/** An introduction that nobody ended is ended by its home. Milliseconds. */
export const introductionMsDefault = 15 * 60_000;
export const introductionMsMax = 24 * 3_600_000;
