'use strict';

const { createClient } = require('./client.js');
const { ClerkAPIResponseError } = require('./errors.js');
const { withTokend } = require('./with-tokend.js');

module.exports = { ClerkAPIResponseError, createClient, withTokend };
