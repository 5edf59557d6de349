-- The junctions of a text: for each two words that follow each other in a line, the last two characters of the first one and the
-- first two of the second one. They say which words are side by side, which trigrams, that end at a blank, do not. `store/search`
-- computes the same; it is PL/pgSQL because that is the fastest way to do it in the database.
CREATE FUNCTION search_junctions(lines TEXT) RETURNS TEXT[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    word   TEXT;
    former TEXT := '';
    found  TEXT[] := '{}';
BEGIN
    FOREACH word IN ARRAY pg_catalog.string_to_array(pg_catalog.replace(lines, pg_catalog.chr(10), '  '), ' ') LOOP
        IF former <> '' AND word <> '' THEN
            found := found || (pg_catalog.right(former, 2) || ' ' || pg_catalog.left(word, 2));
        END IF;
        former := word;
    END LOOP;
    RETURN found;
END
$$;

CREATE INDEX search_by_junction ON search USING gin (search_junctions(text));
