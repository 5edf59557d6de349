-- Words side by side: the index of a file has the trigrams across blanks, so there is nothing to do here.
SELECT 1;
