/* The same module for import: one copy of the code, one of its state. */
import clerktoken from './index.js';

export const { ClerkAPIResponseError, createClient, withTokend } = clerktoken;
