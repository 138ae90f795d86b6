/* Draws of key numbers, the same ones in every run: uniform, or by Zipf's law. */
#pragma once

#include <stdint.h>

struct draw {
	uint64_t state, keys;
	double *weights; /* cumulative; NULL: uniform */
};

/* Keys 0 to keys - 1, the first ones most often when exponent > 0; 0 draws all alike. */
void draw_init(struct draw *draw, uint64_t keys, double exponent);
void draw_deinit(struct draw *draw);

uint64_t draw_next(struct draw *draw);
