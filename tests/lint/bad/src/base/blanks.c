/* Blanks. */
int base_blanks; /* expect: whitespace expect: format */  
/*	 expect: whitespace */
/* 000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 expect: whitespace */
int base_end; /* expect: whitespace */