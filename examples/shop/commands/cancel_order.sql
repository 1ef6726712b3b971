CREATE OR REPLACE FUNCTION command.cancel_order(order_id bigint, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    was text;
BEGIN
    SELECT o.status INTO was FROM orders o WHERE o.id = cancel_order.order_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no order %', order_id;
    ELSIF was <> 'placed' THEN
        RAISE EXCEPTION 'order % is %: only placed orders can be cancelled', order_id, was;
    END IF;
    UPDATE orders o SET status = 'cancelled', cancel_reason = reason WHERE o.id = cancel_order.order_id;
    UPDATE products p SET stock = p.stock + l.qty
      FROM (SELECT l.sku, sum(l.qty)::integer AS qty FROM order_lines l WHERE l.order_id = cancel_order.order_id GROUP BY l.sku) l
     WHERE p.sku = l.sku;
END $$;

COMMENT ON FUNCTION command.cancel_order IS 'Cancels an order that is not shipped yet and puts its products back into stock.';
