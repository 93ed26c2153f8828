-- A unit that is sold is inserted into each index of its table: into two instead of four.
--
-- A receipt number is made of day, sale and sequence, so two equal ones are one primary key. And the key that keeps a
-- shopper from a second unit of a sale finds what a shopper holds as well, if it begins with the shopper.
--
-- While the index is built the table is read and not written: the sink waits, and the log keeps what it does not write.
-- The rest takes a moment, but waits for whoever is reading the table, and all others for it. Where the table is large,
-- build the index beforehand, by hand, which keeps nobody waiting; this takes it as it finds it then:
--
--     CREATE UNIQUE INDEX CONCURRENTLY purchases_user_id_sale_id_key ON purchases (user_id, sale_id);
--
-- One that was left invalid, because that was broken off, is refused here: DROP INDEX, and once more.
CREATE UNIQUE INDEX IF NOT EXISTS purchases_user_id_sale_id_key ON purchases (user_id, sale_id);
ALTER TABLE purchases
    ADD CONSTRAINT purchases_user_id_sale_id_key UNIQUE USING INDEX purchases_user_id_sale_id_key,
    DROP CONSTRAINT purchases_sale_id_user_id_key,
    DROP CONSTRAINT purchases_purchase_no_key;
DROP INDEX purchases_by_holder;
