/** Environment variable of a service process that starts with a wrong wall clock, read by wall-clock.ts. Milliseconds. */
export const wrongByVariable = "TEST_CLOCK_WRONG_BY_MS";
